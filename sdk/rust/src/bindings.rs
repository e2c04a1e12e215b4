//! The bindings to `wit/`. Authors never see them: every type that crosses has
//! a twin in this crate with a gentler name.

wit_bindgen::generate!({
    world: "connector",
    path: "wit",
    pub_export_macro: true,
    export_macro_name: "export_connector",
    generate_all,
});
