//! The request's side of an HTTP exchange: head, body, and the wait for the
//! reply.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other answer is a defect of the broker"
)]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::Body as _;
use keyway_ipc::{BodyStart, HostCall, HostReply, HttpReply, HttpRequest, RequestId, ToBroker};
use keyway_model::limit::{FRAME_BODY_BYTES_MAX, METHOD_BYTES_MAX, URL_BYTES_MAX};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::headers;
use super::http::error;
use super::upload::Upload;
use crate::live::LiveCall;
use crate::mailbox::Mailbox;

/// Where one exchange sends and receives; open until its last holder is gone.
pub(super) struct Line {
    pub(super) call: Arc<LiveCall>,
    pub(super) request: RequestId,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.call.close(self.request);
    }
}

/// The guest was ended; nobody will read this.
fn ended(_: wasmtime::Error) -> Error {
    Error::InternalError(None)
}

/// The error of a body that is longer than it may be; people are told by the limit's
/// name.
pub(super) fn too_long(call: &LiveCall) -> Error {
    call.refuse_body();
    Error::HttpRequestBodySize(Some(call.limits.request_body_bytes_max))
}

/// Sends the head, with as much of the body as is there. An upload is left if
/// that was not all.
pub(super) async fn begin(
    call: &Arc<LiveCall>,
    request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Result<(Wanted, Option<Upload>), Error> {
    let (head, mut body) = request.into_parts();
    let (first, is_whole) = poll_fn(|cx| Poll::Ready(gather(&mut body, cx))).await?;
    call.ledger.release(first.len());
    let sent_bytes = first.len() as u64;
    if sent_bytes > call.limits.request_body_bytes_max {
        return Err(too_long(call));
    }
    let (method, url) = (head.method.as_str(), head.uri.to_string());
    if method.len() > METHOD_BYTES_MAX {
        return Err(Error::HttpRequestMethodInvalid);
    }
    if url.len() > URL_BYTES_MAX {
        return Err(Error::HttpRequestUriTooLong);
    }
    let http_request = HttpRequest {
        method: method.to_owned(),
        url,
        headers: headers::to_pairs(&head.headers),
        body: match is_whole {
            true => BodyStart::Whole(first),
            false => BodyStart::Stream {
                first,
                length: length(&head.headers),
            },
        },
        first_byte_ms: options
            .first_byte_timeout
            .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    };
    let (request, mailbox) = call.open().map_err(ended)?;
    let line = Arc::new(Line {
        call: Arc::clone(call),
        request,
        mailbox,
    });
    let host_call = HostCall::Http(http_request);
    call.say_host_call(request, host_call)
        .await
        .map_err(ended)?;
    let upload = (!is_whole).then(|| Upload::new(Arc::clone(&line), body, sent_bytes));
    Ok((
        Wanted {
            line,
            is_over: false,
        },
        upload,
    ))
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Takes what the guest has written so far, up to a little more than a frame;
/// says whether that is all of it.
fn gather(body: &mut WasiBody, cx: &mut Context<'_>) -> Result<(Bytes, bool), Error> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(frame)) => {
                // Trailers are not sent on.
                let Ok(bytes) = frame?.into_data() else {
                    continue;
                };
                if first.is_empty() && joined.is_empty() {
                    first = bytes;
                } else {
                    joined.extend_from_slice(&std::mem::take(&mut first));
                    joined.extend_from_slice(&bytes);
                }
            }
            Poll::Ready(None) => return Ok((either(first, joined), true)),
            Poll::Pending => return Ok((either(first, joined), false)),
        }
        if first.len() + joined.len() > FRAME_BODY_BYTES_MAX {
            return Ok((either(first, joined), false));
        }
    }
}

/// One chunk is passed on as it is; several were joined.
fn either(first: Bytes, joined: BytesMut) -> Bytes {
    if joined.is_empty() {
        first
    } else {
        joined.freeze()
    }
}

/// A reply that the guest wants. When this is dropped before the reply has
/// ended, the broker is told that nobody wants it any more.
pub(super) struct Wanted {
    line: Arc<Line>,
    is_over: bool,
}

impl Wanted {
    /// Waits for the reply and sends the rest of the body meanwhile; gives
    /// back an upload that is not over.
    pub(super) async fn reply(
        &mut self,
        mut upload: Option<Upload>,
    ) -> Result<(HttpReply, Option<Upload>), Error> {
        let line = &self.line;
        let reply = poll_fn(|cx| {
            if let Poll::Ready(reply) = line.mailbox.poll_reply(cx) {
                return Poll::Ready(Ok(reply));
            }
            if let Some(sending) = &mut upload
                && let Poll::Ready(sent) = sending.poll(cx)
            {
                upload = None;
                if let Err(error) = sent {
                    return Poll::Ready(Err(error));
                }
            }
            Poll::Pending
        });
        let reply = line.call.wait(reply).await.map_err(ended)??;
        let reply = match reply {
            HostReply::Http(Ok(reply)) => Ok((reply, upload)),
            HostReply::Http(Err(refusal)) => Err(error(refusal)),
            HostReply::Trap(trap) => Err(ended(line.call.end(trap))),
            _ => Err(ended(line.call.misanswered())),
        };
        self.is_over = !matches!(
            reply,
            Ok((
                HttpReply {
                    body: BodyStart::Stream { .. },
                    ..
                },
                _
            ))
        );
        reply
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// The reply has ended by itself.
    pub(super) const fn set_over(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if !self.is_over {
            let (call, request) = (self.line.call.id(), self.line.request);
            self.line.call.say_aside(ToBroker::Forget { call, request });
        }
    }
}
