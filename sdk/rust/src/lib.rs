//! Everything that the author of a Keyway connector needs.
//!
//! A connector implements [`Connector`] and hands its type to [`export!`]. It
//! never holds a credential: it sends plain requests with [`Context::http`],
//! and the host adds the credential after it has decided that the request may
//! leave. What the manifest does not name cannot be reached.
//!
//! ```
//! use keyway_sdk::{Actions, Connector, Context, Failure, Serialize, Deserialize};
//!
//! struct Greeter;
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "keyway_sdk::serde")]
//! struct Greet { name: String }
//!
//! #[derive(Serialize)]
//! #[serde(crate = "keyway_sdk::serde")]
//! struct Greeting { text: String }
//!
//! fn greet(_context: &Context, input: Greet) -> Result<Greeting, Failure> {
//!     Ok(Greeting { text: format!("Hello, {}!", input.name) })
//! }
//!
//! impl Connector for Greeter {
//!     fn actions() -> Actions {
//!         Actions::new().action("greet", greet)
//!     }
//! }
//!
//! keyway_sdk::export!(Greeter);
//! # fn main() {}
//! ```

#[doc(hidden)]
pub mod bindings;
mod connector;
mod context;
mod encode;
mod export;
mod failure;
mod http;
mod log;
mod reply;
mod scratch;
mod wire;

pub use connector::{Actions, Batch, Connector, Event, Triggers};
pub use context::{Context, State, StateRefusal};
pub use encode::segment;
pub use failure::Failure;
pub use http::{Http, Method, Request};
pub use log::Level;
pub use reply::Reply;
pub use scratch::{Scratch, ScratchFile, ScratchRefusal};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json::{self, Value, json};

/// What [`export!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::export::Adapter;
}
