//! What a connector asks for in place of the platform's limits: `[limits]`.

use super::error::ManifestError;
use super::reader::Node;
use crate::limit::{Level, LimitName, LimitSet};

pub(super) fn read(node: &Node<'_>) -> Result<LimitSet, ManifestError> {
    let mut set = LimitSet::default();
    for (key, value) in node.fields()? {
        let name: LimitName = key
            .parse()
            .map_err(|error| value.error_at_key(format!("{error}"), "correct the name"))?;
        if name.info().level != Level::Manifest {
            return Err(value.error_at_key(
                format!("`{name}` is not a connector's to ask for"),
                "remove it: the platform and the workspace set it",
            ));
        }
        let number = value.number()?;
        set.set(name, number)
            .map_err(|error| value.error(format!("`{}` is 0", value.path), error.to_string()))?;
    }
    Ok(set)
}
