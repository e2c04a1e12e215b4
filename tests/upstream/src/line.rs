//! A TCP connection that can be cut the rude way: with a reset instead of a farewell.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The wish to cut a connection; shared by the request handlers and the connection's task.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    wanted: AtomicBool,
    wake: Notify,
}

impl Cut {
    /// Cuts the connection: the caller's future never resolves, because the connection's task drops it.
    pub(crate) async fn now(&self) -> std::convert::Infallible {
        self.wanted.store(true, Ordering::Relaxed);
        self.wake.notify_one();
        std::future::pending().await
    }

    /// Resolves when somebody has cut the connection.
    pub(crate) async fn happened(&self) {
        self.wake.notified().await;
    }
}

/// The socket under TLS or HTTP.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    cut: std::sync::Arc<Cut>,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, cut: std::sync::Arc<Cut>) -> Self {
        Self { stream, cut }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.cut.wanted.load(Ordering::Relaxed) {
            // With a linger of zero the kernel answers the peer with RST; if it refuses, the peer sees an ordinary end.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
