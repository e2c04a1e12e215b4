//! An upstream that does as little as it can: a short page, a body of any length, and a place that takes any body.
//!
//! It stands on the same cores as what is measured, so it is light. Both sides of a figure speak to the same one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Bytes of the short page.
const PAGE: &[u8] = &[b'p'; 1024];
/// Bytes of each piece of a long body.
const PIECE: &[u8] = &[b'b'; 64 * 1024];

/// How the upstream is started.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// The core that it stays on.
    #[arg(long)]
    pub core: Option<usize>,
}

/// Binds a free port of 127.0.0.1.
///
/// # Errors
/// If there is none.
pub async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

/// Serves for ever.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let io = TokioIo::new(stream);
            // A broken connection is for the other side to report.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service_fn(answer))
                    .await,
            );
        });
    }
}

type Reply = Response<Either<Full<Bytes>, Long>>;

/// `GET /anything`, `GET /bytes?count=N`, `POST /discard`; each wants a credential.
async fn answer(request: Request<Incoming>) -> Result<Reply, Infallible> {
    if !request.headers().contains_key(AUTHORIZATION) {
        return Ok(short(StatusCode::UNAUTHORIZED, "no credential came along"));
    }
    let path = (request.method().clone(), request.uri().path().to_owned());
    Ok(match (path.0, path.1.as_str()) {
        (Method::GET, "/anything") => short(StatusCode::OK, PAGE),
        (Method::GET, "/bytes") => match count(&request) {
            Some(count) => Response::new(Either::Right(Long(count))),
            None => short(StatusCode::BAD_REQUEST, "say how many with ?count=N"),
        },
        (Method::POST, "/discard") => match discarded(request.into_body()).await {
            Ok(count) => short(StatusCode::OK, count.to_string()),
            Err(fault) => short(StatusCode::BAD_REQUEST, fault.to_string()),
        },
        _ => short(StatusCode::NOT_FOUND, "there is no such page"),
    })
}

fn count(request: &Request<Incoming>) -> Option<u64> {
    request.uri().query()?.strip_prefix("count=")?.parse().ok()
}

async fn discarded(mut body: Incoming) -> hyper::Result<u64> {
    let mut count = 0;
    while let Some(frame) = body.frame().await {
        count += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(count)
}

fn short(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(body.into())));
    *reply.status_mut() = status;
    let text = HeaderValue::from_static("text/plain");
    reply.headers_mut().insert(CONTENT_TYPE, text);
    reply
}

/// A body of so many more bytes.
#[derive(Debug)]
struct Long(u64);

impl Body for Long {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = usize::try_from(self.0).map_or(PIECE.len(), |left| left.min(PIECE.len()));
        self.0 -= length as u64;
        let piece = Bytes::from_static(PIECE).split_to(length);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}
