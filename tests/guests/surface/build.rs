//! Leaves the module as the compiler made it: the types of all that it could
//! import stand in a section that a component has no more.

fn main() {
    println!("cargo:rustc-link-arg-cdylib=--skip-wit-component");
}
