//! The bridge between the generated bindings and an author's [`Connector`].

use std::marker::PhantomData;

use crate::bindings::exports::keyway::guest;
use crate::{Connector, Context};

/// Implements every interface of the world `connector` for `C`.
#[derive(Debug)]
pub struct Adapter<C>(PhantomData<C>);

impl<C: Connector> guest::actions::Guest for Adapter<C> {
    fn invoke(name: String, input: String) -> Result<String, guest::actions::Failure> {
        Ok(C::actions().run(&Context::new(), &name, &input)?)
    }
}

impl<C: Connector> guest::triggers::Guest for Adapter<C> {
    fn poll(
        name: String,
        input: String,
        cursor: Option<String>,
    ) -> Result<guest::triggers::Batch, guest::triggers::Failure> {
        let batch = C::triggers().run(&Context::new(), &name, &input, cursor)?;
        Ok(guest::triggers::Batch {
            events: batch.events.into_iter().map(Into::into).collect(),
            cursor: batch.cursor,
            more: batch.more,
        })
    }
}

impl<C: Connector> guest::connection_check::Guest for Adapter<C> {
    fn check() -> Result<String, guest::connection_check::Failure> {
        Ok(C::check(&Context::new())?)
    }
}

impl From<crate::Event> for guest::triggers::Event {
    fn from(event: crate::Event) -> Self {
        Self {
            deduplication_key: event.deduplication_key,
            payload: event.payload,
        }
    }
}

/// Makes a component of a type that implements [`Connector`].
#[macro_export]
macro_rules! export {
    ($connector:ty) => {
        const _: () = {
            type KeywayConnector = $crate::__private::Adapter<$connector>;
            $crate::__private::bindings::export_connector!(
                KeywayConnector with_types_in $crate::__private::bindings
            );
        };
    };
}
