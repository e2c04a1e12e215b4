//! The custom section `keyway:manifest`, which makes manifest and code one
//! file with one digest.
//!
//! Reads only the top level of a component: a section of that name inside a
//! core module or a nested component is somebody else's. The bytes are
//! foreign, so nothing here indexes them.

/// The section's name.
pub const NAME: &str = "keyway:manifest";

/// `\0asm`, then version 13 of layer 1: a component, not a core module.
const PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
/// What a core module begins with.
const CORE_PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
/// The id of custom sections.
const CUSTOM: u8 = 0;

/// Why a manifest cannot be taken out of an artifact, or put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// A core module.
    #[error("not a component: this is a core WebAssembly module; build it for wasm32-wasip2")]
    CoreModule,
    /// Something else.
    #[error(
        "not a component: the file does not begin like one; give the .wasm that `keyway connector build` made"
    )]
    NotAComponent,
    /// A component that ends too early or whose lengths do not fit.
    #[error("not a component: section at byte {offset} does not fit into the file; build it again")]
    Malformed {
        /// Where the section begins.
        offset: usize,
    },
    /// No manifest inside.
    #[error("the component carries no manifest; build it with `keyway connector build`")]
    Missing,
    /// More than one manifest inside.
    #[error(
        "the component carries more than one manifest; build it again with `keyway connector build`"
    )]
    Repeated,
    /// The manifest is not UTF-8.
    #[error(
        "the manifest inside the component is not UTF-8; save connector.toml as UTF-8 and build again"
    )]
    NotText,
    /// The manifest is too large for a section.
    #[error(
        "the manifest is larger than `DOCUMENT_BYTES_MAX` ({} bytes); shorten descriptions and schemas",
        crate::limit::DOCUMENT_BYTES_MAX
    )]
    TooLarge,
}

/// The component with `manifest` appended as its one manifest section.
///
/// # Errors
///
/// If `component` is not a component, or carries a manifest already.
pub fn append(component: &[u8], manifest: &str) -> Result<Vec<u8>, SectionError> {
    match extract(component) {
        Err(SectionError::Missing) => {}
        Err(other) => return Err(other),
        Ok(_) => return Err(SectionError::Repeated),
    }
    if manifest.len() > crate::limit::DOCUMENT_BYTES_MAX {
        return Err(SectionError::TooLarge);
    }
    let mut body = Vec::with_capacity(manifest.len() + NAME.len() + 5);
    write_length(NAME.len(), &mut body)?;
    body.extend_from_slice(NAME.as_bytes());
    body.extend_from_slice(manifest.as_bytes());
    let mut out = component.to_vec();
    out.push(CUSTOM);
    write_length(body.len(), &mut out)?;
    out.extend_from_slice(&body);
    Ok(out)
}

/// The manifest's text inside `component`.
///
/// # Errors
///
/// If it is not a component, or does not carry exactly one manifest.
pub fn extract(component: &[u8]) -> Result<&str, SectionError> {
    let mut rest = match component.strip_prefix(&PREAMBLE) {
        Some(sections) => sections,
        None if component.starts_with(&CORE_PREAMBLE) => return Err(SectionError::CoreModule),
        None => return Err(SectionError::NotAComponent),
    };
    let mut found = None;
    while let Some((id, after)) = rest.split_first() {
        let offset = component.len() - rest.len();
        let malformed = SectionError::Malformed { offset };
        let (body, next) = read_sized(after).ok_or(malformed)?;
        if *id == CUSTOM {
            let (name, content) = read_sized(body).ok_or(malformed)?;
            if name == NAME.as_bytes() && found.replace(content).is_some() {
                return Err(SectionError::Repeated);
            }
        }
        rest = next;
    }
    std::str::from_utf8(found.ok_or(SectionError::Missing)?).map_err(|_| SectionError::NotText)
}

/// Bytes that follow their own length, and what comes after them.
fn read_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_length(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// An unsigned LEB128 number of at most 32 bits.
fn read_length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

fn write_length(length: usize, out: &mut Vec<u8>) -> Result<(), SectionError> {
    let mut rest = u32::try_from(length).map_err(|_| SectionError::TooLarge)?;
    loop {
        let [low, ..] = (rest & 0x7f).to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return Ok(());
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn component(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = PREAMBLE.to_vec();
        for (id, body) in sections {
            out.push(*id);
            write_length(body.len(), &mut out).unwrap();
            out.extend_from_slice(body);
        }
        out
    }

    #[test]
    fn what_is_appended_is_extracted() {
        let bare = component(&[(1, b"core module"), (0, b"\x04nameabc")]);
        assert_eq!(extract(&bare), Err(SectionError::Missing));
        let long = "x".repeat(100_000);
        let carried = append(&bare, &long).unwrap();
        assert_eq!(extract(&carried), Ok(long.as_str()));
    }

    #[test]
    fn a_second_manifest_is_refused() {
        let one = append(&component(&[]), "a").unwrap();
        assert_eq!(append(&one, "b"), Err(SectionError::Repeated));
        let two = component(&[(0, b"\x0fkeyway:manifesta"), (0, b"\x0fkeyway:manifestb")]);
        assert_eq!(extract(&two), Err(SectionError::Repeated));
    }

    #[test]
    fn a_manifest_inside_a_nested_module_does_not_count() {
        let inner = append(&component(&[]), "inner").unwrap();
        assert_eq!(
            extract(&component(&[(4, &inner)])),
            Err(SectionError::Missing)
        );
        let outer = append(&component(&[(4, &inner)]), "outer").unwrap();
        assert_eq!(extract(&outer), Ok("outer"));
    }

    #[test]
    fn what_is_not_a_component_is_refused_in_words() {
        let text = |bytes: &[u8]| extract(bytes).map_or_else(|e| e.to_string(), str::to_owned);
        assert!(text(b"hello").starts_with("not a component: the file does not begin like one"));
        assert!(
            text(&CORE_PREAMBLE).contains("core WebAssembly module; build it for wasm32-wasip2")
        );
        assert!(
            text(&[&PREAMBLE[..], &[0, 200]].concat()).contains("section at byte 8 does not fit")
        );
        assert!(
            text(&[&PREAMBLE[..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat())
                .contains("byte 8")
        );
        assert_eq!(
            extract(&component(&[(0, b"\x0fkeyway:manifest\xff")])),
            Err(SectionError::NotText)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&PREAMBLE[..], &tail].concat();
            let found = extract(&bytes).is_ok();
            if let Ok(carried) = append(&bytes, "m") {
                prop_assert!(!found);
                prop_assert_eq!(extract(&carried), Ok("m"));
            }
        }
    }
}
