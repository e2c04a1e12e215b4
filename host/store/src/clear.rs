//! Every column of the database, sealed or clear; and for each that is clear,
//! why. A test compares both lists with the schema, so a new column has to
//! choose.

/// Columns that hold an envelope, or a key wrapped by another.
#[cfg(test)]
pub(crate) const SEALED: &[(&str, &str)] = &[
    ("meta", "platform_key"),
    ("meta", "signing_key"),
    ("wrapped_key", "wrapped"),
    ("index_key", "sealed"),
    ("token", "label"),
    ("resource", "body"),
    ("credential", "body"),
    ("job", "body"),
    ("job", "summary"),
    ("journal", "body"),
    ("state", "body"),
    ("audit", "envelope"),
];

/// Columns that stay clear, each with its reason. `*` stands for every table.
#[cfg(test)]
pub(crate) const CLEAR: &[(&str, &str, &str)] = &[
    (
        "*",
        "tenant",
        "random id; every row is found and separated by it",
    ),
    ("*", "environment", "one of three; part of every key"),
    ("*", "created", "time; retention and order"),
    ("*", "updated", "time; order"),
    ("*", "version", "counter that the envelope is bound to"),
    (
        "*",
        "recipe",
        "random id; jobs are listed and counted by recipe",
    ),
    (
        "*",
        "connection",
        "random id; found by the entry that names it",
    ),
    (
        "*",
        "key_mac",
        "keyed hash under a key of the scope; says only that two keys are alike",
    ),
    ("meta", "singleton", "always 1"),
    (
        "meta",
        "deployment",
        "random id; checked before anything can be opened",
    ),
    (
        "meta",
        "root_key",
        "fingerprint of the root key; says which one to bring",
    ),
    (
        "workspace",
        "name",
        "the platform's directory: administrators choose and list it without a tenant's key",
    ),
    ("wrapped_key", "id", "random id that envelopes name"),
    (
        "wrapped_key",
        "class",
        "what the key is for; keys are found by it",
    ),
    (
        "wrapped_key",
        "subject",
        "random id of a job or connection; keys are found by it",
    ),
    (
        "wrapped_key",
        "period",
        "hour or day; keys are found and erased by it",
    ),
    ("wrapped_key", "term", "generation of the tenant key"),
    ("token", "id", "random id"),
    (
        "token",
        "hash",
        "SHA-256 of 256 random bits; a request is authenticated before any tenant key is used",
    ),
    (
        "token",
        "role",
        "one of the fixed roles; decided on at every request",
    ),
    ("token", "expires", "time; checked at every request"),
    ("token", "revoked", "time; checked at every request"),
    ("token", "last_used", "time"),
    ("artifact", "digest", "SHA-256 of public third-party code"),
    (
        "artifact",
        "bytes",
        "third-party code, the same for every tenant; holds no tenant's data",
    ),
    ("resource", "kind", "what it is; lists are made by it"),
    ("resource", "id", "random id, or a hash of ids"),
    (
        "resource",
        "name_mac",
        "keyed hash under a key of the scope; names are unique by it",
    ),
    (
        "resource",
        "state",
        "small number, for example started or stopped",
    ),
    (
        "webhook",
        "path_hash",
        "SHA-256 of a path with 128 random bits or more; found before the tenant is known",
    ),
    ("job", "id", "time of its acceptance and random bits"),
    (
        "job",
        "recipe_version",
        "counter; pins the version that runs",
    ),
    (
        "job",
        "state",
        "small number; unfinished jobs are found at start before any key is loaded",
    ),
    ("job", "origin", "random id of the job that this one reruns"),
    ("journal", "job", "id of the job"),
    (
        "journal",
        "position",
        "counter that the envelope is bound to",
    ),
    ("deduplication", "seen", "time; retention"),
    (
        "audit",
        "sequence",
        "counter without gaps; order of the log",
    ),
    (
        "audit",
        "kind",
        "intent, denial, outcome or tally; open intents are found by it",
    ),
    ("audit", "entry", "random id that joins intent and outcome"),
    (
        "audit",
        "time",
        "time; retention, and what an erased record still proves",
    ),
    (
        "audit",
        "content",
        "salted hash of the record; the salt is inside the envelope",
    ),
    ("audit", "leaf", "hash; the tree is made of it"),
    ("checkpoint", "size", "counter; how many records it covers"),
    (
        "checkpoint",
        "settled",
        "counter; before it every intent is closed",
    ),
    ("checkpoint", "range", "hashes of the tree"),
    (
        "checkpoint",
        "note",
        "made to be published: origin, size, root, signature",
    ),
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    fn schema() -> BTreeSet<(String, String)> {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../migrations/0001_first.sql"))
            .unwrap();
        let sql = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c \
                   WHERE t.type = 'table'";
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        columns.map(Result::unwrap).collect()
    }

    fn is_clear(table: &str, column: &str) -> bool {
        CLEAR
            .iter()
            .any(|(t, c, _)| (*t == "*" || *t == table) && *c == column)
    }

    #[test]
    fn every_column_is_sealed_or_listed_as_clear_and_none_is_both() {
        for (table, column) in schema() {
            let sealed = SEALED.contains(&(table.as_str(), column.as_str()));
            assert_ne!(sealed, is_clear(&table, &column), "{table}.{column}");
        }
    }

    #[test]
    fn no_list_names_a_column_that_is_not_there() {
        let schema = schema();
        for (table, column) in SEALED {
            assert!(
                schema.contains(&((*table).to_owned(), (*column).to_owned())),
                "{table}.{column}"
            );
        }
        for (table, column, reason) in CLEAR {
            let found = schema
                .iter()
                .any(|(t, c)| (*table == "*" || t == table) && c == column);
            assert!(found && !reason.is_empty(), "{table}.{column}");
        }
    }
}
