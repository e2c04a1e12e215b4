//! Bindings to the world `connector`, for the guests beside this crate.

/// World `connector`.
pub mod connector {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "keyway:guest/connector",
        pub_export_macro: true,
        default_bindings_module: "guest_bindings::connector",
        generate_all,
    });
}

/// Makes a connector of a function `fn(&str, String) -> Result<String, Failure>`,
/// whose poll finds nothing and whose check answers `checked`.
#[macro_export]
macro_rules! connector {
    ($act:path) => {
        struct Guest;

        impl $crate::connector::exports::keyway::guest::actions::Guest for Guest {
            fn invoke(name: String, input: String) -> Result<String, Failure> {
                $act(&name, input)
            }
        }

        impl $crate::connector::exports::keyway::guest::triggers::Guest for Guest {
            fn poll(
                _name: String,
                _input: String,
                cursor: Option<String>,
            ) -> Result<$crate::connector::exports::keyway::guest::triggers::Batch, Failure> {
                use $crate::connector::exports::keyway::guest::triggers::{Batch, Event};
                let events = match cursor {
                    Some(_) => Vec::new(),
                    None => vec![Event {
                        deduplication_key: "one".to_owned(),
                        payload: "{}".to_owned(),
                    }],
                };
                Ok(Batch {
                    events,
                    cursor: Some("next".to_owned()),
                    more: false,
                })
            }
        }

        impl $crate::connector::exports::keyway::guest::connection_check::Guest for Guest {
            fn check() -> Result<String, Failure> {
                Ok("checked".to_owned())
            }
        }

        $crate::connector::export!(Guest);
    };
}
