//! The only way out.
//!
//! [`Egress::send`] takes an [`Entry`](keyway_authz::Entry), so nothing leaves
//! before its record is durable, and takes the target from that entry, so what
//! was decided on is what is sent. A name is resolved here, every address that
//! it resolves to is classified, and one of those very addresses is dialled.
//!
//! Never follows a redirect (a redirect is a new call), never reads a proxy
//! variable, never looks a name up twice for one connection, and never shares a
//! connection between tenants or between their connections.
//!
//! Something that was not recorded cannot be sent:
//!
//! ```
//! use keyway_authz::{Entry, HttpSend};
//! use keyway_egress::{Egress, EgressError, Exchange, Reply};
//!
//! async fn go(egress: &Egress, entry: &Entry<HttpSend>) -> Result<Reply, EgressError> {
//!     egress.send(entry, Exchange::default()).await
//! }
//! ```
//!
//! ```compile_fail,E0308
//! use keyway_authz::{HttpSend, Permit};
//! use keyway_egress::{Egress, EgressError, Exchange, Reply};
//!
//! async fn go(egress: &Egress, permit: &Permit<HttpSend>) -> Result<Reply, EgressError> {
//!     egress.send(permit, Exchange::default()).await
//! }
//! ```
//!
//! ```compile_fail,E0308
//! use keyway_egress::{Egress, EgressError, Exchange, Reply};
//! use keyway_model::net::RequestUrl;
//!
//! async fn go(egress: &Egress, url: &RequestUrl) -> Result<Reply, EgressError> {
//!     egress.send(url, Exchange::default()).await
//! }
//! ```

mod address;
mod body;
mod bucket;
mod cause;
mod config;
mod decode;
mod dial;
mod error;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod heads;
mod identity;
mod interim;
mod metered;
mod pin;
mod pool;
mod quota;
mod reply;
mod request;
mod resolve;
mod seldom;
mod send;
mod stream;
mod tls;
mod vet;
mod watched;

pub use address::{AddressClass, classify};
pub use body::{BodyError, Length, RequestBody};
pub use config::{AllowedPlace, Bounds, EgressConfig, Limits, Timeouts};
pub use error::{EgressError, HeaderProblem, Limit, Sent, SetupError, Wait};
pub use identity::{ClientSpec, TlsSettings, TlsSpec};
pub use pin::{PinError, SpkiPin};
pub use reply::{Reply, ReplyBody};
pub use request::{Exchange, QuerySecret};
pub use resolve::{FixedResolver, Resolve, ResolveError, SystemResolver};
pub use send::Egress;
