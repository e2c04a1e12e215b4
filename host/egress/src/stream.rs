//! One open connection, in clear or with TLS, and its place in the count.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use keyway_fair::Place;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

use crate::frames::Framed;
use crate::heads::Heads;
use crate::metered::Metered;
use crate::quota::Owner;

/// A socket, counted.
pub(crate) type Wire = Metered<TcpStream>;

/// A connection's place among those of its owner, among all, and among those of
/// its origin.
pub(crate) type Counted = (OwnedSemaphorePermit, Place<Owner>, Arc<()>);

/// One open connection. Gives its place in the count back when it is dropped.
#[derive(Debug)]
pub(crate) struct Stream {
    io: Io,
    _counted: Counted,
}

#[derive(Debug)]
enum Io {
    Clear(TokioIo<Heads<Wire>>),
    Tls(Box<TokioIo<Heads<TlsStream<Wire>>>>),
    /// HTTP/2, whose heads are not text, and whose frames are counted.
    Tls2(Box<TokioIo<Framed<TlsStream<Wire>>>>),
}

impl Stream {
    pub(crate) fn clear(tcp: Wire, counted: Counted) -> Self {
        Self {
            io: Io::Clear(TokioIo::new(Heads::new(tcp))),
            _counted: counted,
        }
    }

    pub(crate) fn tls(tls: TlsStream<Wire>, interims_max: u32, counted: Counted) -> Self {
        let io = if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
            Io::Tls2(Box::new(TokioIo::new(Framed::new(tls, interims_max))))
        } else {
            Io::Tls(Box::new(TokioIo::new(Heads::new(tls))))
        };
        Self {
            io,
            _counted: counted,
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match &self.io {
            Io::Tls2(_) => Connected::new().negotiated_h2(),
            Io::Tls(_) | Io::Clear(_) => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Clear(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls2(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Clear(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls2(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Clear(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
            Io::Tls2(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls2(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Clear(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
            Io::Tls2(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Clear(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls2(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }
}
