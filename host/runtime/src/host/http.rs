//! `wasi:http/outgoing-handler`: the one way out of a sandbox. A request
//! becomes a message to the broker, unread; the reply is what the broker lets
//! the guest see.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use keyway_ipc::{BodyStart, HttpReply, Refusal};
use keyway_model::limit::{BODY_CHUNK_BYTES_MAX, BODY_CHUNKS_MAX};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::headers;
use super::reply::StreamedReply;
use super::request::{self, Wanted};
use super::upload::Upload;
use crate::live::LiveCall;

type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Driver), Error>;

/// The guest's way out.
pub(super) struct Outgoing {
    call: Arc<LiveCall>,
    reserved_headers: Vec<String>,
    /// Made when the guest first builds headers.
    filter: Option<ForbiddenHeaderFilter>,
}

impl Outgoing {
    pub(super) const fn new(call: Arc<LiveCall>, reserved_headers: Vec<String>) -> Self {
        Self {
            call,
            reserved_headers,
            filter: None,
        }
    }
}

impl WasiHttpHooks for Outgoing {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let reserved = &mut self.reserved_headers;
        let filter = self
            .filter
            .get_or_insert_with(|| headers::filter(std::mem::take(reserved)));
        Arc::clone(filter)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_CHUNKS_MAX
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES_MAX
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Driver,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(send(
            Arc::clone(&self.call),
            request,
            options.unwrap_or_default(),
        ))
    }
}

/// One request and its reply. The driver in the answer goes on sending the
/// request body, if there is more of it.
async fn send(
    call: Arc<LiveCall>,
    request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Answer {
    let (mut wanted, upload) = request::begin(&call, request, options).await?;
    let (reply, rest) = wanted.reply(upload).await?;
    let response = response(wanted, reply)?;
    Ok((response, driver(rest)))
}

fn driver(rest: Option<Upload>) -> Driver {
    match rest {
        Some(upload) => Box::new(upload.finish()),
        None => Box::new(std::future::ready(Ok(()))),
    }
}

fn response(wanted: Wanted, reply: HttpReply) -> Result<http::Response<WasiBody>, Error> {
    let body = match reply.body {
        BodyStart::Whole(bytes) => whole(bytes),
        BodyStart::Stream { first, length } => {
            StreamedReply::new(wanted, first, length).boxed_unsync()
        }
    };
    let mut response = http::Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = headers::from_pairs(reply.headers).ok_or(Error::HttpProtocolError)?;
    Ok(response)
}

fn whole(bytes: Bytes) -> WasiBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// What a guest is told.
pub(super) const fn error(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Denied => Error::HttpRequestDenied,
        Refusal::Timeout => Error::ConnectionReadTimeout,
        Refusal::Connection => Error::ConnectionTerminated,
        Refusal::TooLarge => Error::HttpResponseBodySize(None),
        Refusal::Protocol => Error::HttpProtocolError,
        Refusal::Busy => Error::ConnectionLimitReached,
    }
}
