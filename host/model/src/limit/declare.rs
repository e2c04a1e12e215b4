//! How limits are declared: name, type, default, unit, who may change it, and
//! what happens beyond it, each once. A macro, because a struct, its defaults
//! and its table written by hand would drift apart.

/// A struct of limits with its defaults, its table, and access by name.
macro_rules! limits {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $kind:ty = $default:expr, $unit:ident, $level:ident, $beyond:literal;)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            pub(crate) const ROWS: &'static [LimitInfo] = &[$(LimitInfo {
                name: stringify!($field),
                default: { let value: $kind = $default; value as u64 },
                unit: Unit::$unit,
                level: Level::$level,
                about: concat!($($doc),+),
                beyond: $beyond,
            },)+];

            /// The value of the limit of this name.
            pub(crate) fn by_name(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($field) => Some(u64::from(self.$field)),)+
                    _ => None,
                }
            }

            /// Puts a value in its place; one that is too large for its type
            /// becomes the largest that fits. Nothing for another's name.
            pub(crate) fn put(&mut self, name: &str, value: u64) {
                match name {
                    $(stringify!($field) => self.$field = <$kind>::try_from(value).unwrap_or(<$kind>::MAX),)+
                    _ => {}
                }
            }
        }
    };
}

/// Limits that nobody changes without building Keyway again.
macro_rules! constants {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $value:expr, $unit:ident, $beyond:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: $kind = $value;)+

        pub(crate) const CONSTANTS: &[LimitInfo] = &[$(LimitInfo {
            name: stringify!($name),
            default: $name as u64,
            unit: Unit::$unit,
            level: Level::Nobody,
            about: concat!($($doc),+),
            beyond: $beyond,
        },)+];
    };
}

pub(crate) use {constants, limits};
