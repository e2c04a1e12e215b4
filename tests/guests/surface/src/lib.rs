//! Never run: the fuzz targets read from this module which functions a guest
//! could import, with their types, and make modules of their own that do.

use guest_bindings::connector::keyway::guest::types::Failure;

guest_bindings::connector!(act);

fn act(_name: &str, _input: String) -> Result<String, Failure> {
    // One function of each package that brings the types of all.
    Ok(format!("{:?}", wasip2::http::types::Fields::new()))
}
