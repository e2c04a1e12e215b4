//! What a ciphertext is bound to: the canonical associated data.
//!
//! Every field is preceded by its length in four bytes, so that no two lists of
//! fields have the same encoding, whatever the fields hold.

use keyway_model::{ConnectionId, DeploymentId, Scope};

use crate::name::KeyId;

/// Where a value is stored. Whose it is, is not said here: the
/// [`ScopeKeys`](crate::ScopeKeys) that seal and open add their own deployment,
/// tenant and environment, so that another's place cannot be named.
///
/// ```
/// # use keyway_vault::Place;
/// let place = Place { table: "recipes", column: "definition", row: 7, row_version: 1 };
/// ```
/// ```compile_fail,E0560
/// # use keyway_vault::Place;
/// # let another = ();
/// let place = Place { scope: another, table: "recipes", column: "definition", row: 7, row_version: 1 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's id.
    pub row: u128,
    /// The row's version; a value of an older version does not open as a newer.
    pub row_version: u64,
}

impl Place {
    /// The one place of a connection's credential.
    pub const fn credential(connection: ConnectionId, row_version: u64) -> Self {
        Self {
            table: "connections",
            column: "credential",
            row: connection.bits(),
            row_version,
        }
    }
}

/// Associated data, in its canonical encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

impl Binding {
    /// The encoding of these fields, none of which is longer than 4 GiB.
    pub(crate) fn of(fields: &[&[u8]]) -> Self {
        let length = fields.iter().map(|field| 4 + field.len()).sum();
        let mut bytes = Vec::with_capacity(length);
        for field in fields {
            let length = u32::try_from(field.len())
                .expect("table and column names are short, the rest is fixed");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Self(bytes)
    }

    /// The binding of one item: format, deployment, tenant, environment,
    /// table, row, column, row version, key id.
    pub(crate) fn item(deployment: DeploymentId, scope: Scope, place: &Place, key: KeyId) -> Self {
        Self::of(&[
            b"keyway envelope 1",
            &deployment.to_bytes(),
            &scope.tenant.to_bytes(),
            &[scope.environment.code()],
            place.table.as_bytes(),
            &place.row.to_be_bytes(),
            place.column.as_bytes(),
            &place.row_version.to_be_bytes(),
            &key.to_bytes(),
        ])
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use keyway_model::{Environment, TenantId};
    use proptest::prelude::*;

    fn decode(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut fields = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            fields.push(field.to_vec());
            bytes = rest;
        }
        bytes.is_empty().then_some(fields)
    }

    /// Fields that provoke collisions: empty ones, NULs, delimiters, and
    /// bytes that look like a length.
    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(Vec::new()),
            Just(vec![0, 0, 0, 1]),
            prop::collection::vec(prop_oneof![Just(0), Just(1), Just(b':'), Just(b'/')], 0..6),
            prop::collection::vec(any::<u8>(), 0..24),
        ]
    }

    proptest! {
        #[test]
        fn two_lists_of_fields_never_encode_alike(
            a in prop::collection::vec(tricky(), 0..6),
            b in prop::collection::vec(tricky(), 0..6),
        ) {
            let encode = |fields: &[Vec<u8>]| Binding::of(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(encode(&a) == encode(&b), a == b);
            prop_assert_eq!(decode(encode(&a).as_bytes()), Some(a));
        }
    }

    #[test]
    fn every_part_of_a_place_is_in_the_binding() {
        let place = Place {
            table: "jobs",
            column: "event",
            row: 1,
            row_version: 1,
        };
        let scope = Scope {
            tenant: TenantId::from_bits(1),
            environment: Environment::Test,
        };
        let (deployment, key) = (DeploymentId::from_bits(1), KeyId::from_bytes([1; 16]));
        let elsewhere = Scope {
            environment: Environment::Production,
            ..scope
        };
        let other = Scope {
            tenant: TenantId::from_bits(2),
            ..scope
        };
        let all = [
            Binding::item(deployment, scope, &place, key),
            Binding::item(DeploymentId::from_bits(2), scope, &place, key),
            Binding::item(deployment, elsewhere, &place, key),
            Binding::item(deployment, other, &place, key),
            Binding::item(
                deployment,
                scope,
                &Place {
                    table: "job",
                    ..place
                },
                key,
            ),
            Binding::item(
                deployment,
                scope,
                &Place {
                    column: "sevent",
                    ..place
                },
                key,
            ),
            Binding::item(deployment, scope, &Place { row: 2, ..place }, key),
            Binding::item(
                deployment,
                scope,
                &Place {
                    row_version: 2,
                    ..place
                },
                key,
            ),
            Binding::item(deployment, scope, &place, KeyId::from_bytes([2; 16])),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|another| another != one));
            assert_eq!(decode(one.as_bytes()).unwrap().len(), 9);
        }
    }
}
