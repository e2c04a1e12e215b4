//! Bindings that are generated from `wit/`; the conversions to and from our
//! own types are in `convert`.

/// World `connector`.
pub(crate) mod connector {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "keyway:guest/connector",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

/// World `code`.
pub(crate) mod code {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "keyway:guest/code",
        exports: { default: async },
        with: { "keyway:host/log@0.1.0": super::connector::keyway::host::log },
        require_store_data_send: true,
    });
}

/// World `expression-engine`.
pub(crate) mod expressions {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "keyway:guest/expression-engine",
        exports: { default: async },
        with: { "keyway:host/log@0.1.0": super::connector::keyway::host::log },
        require_store_data_send: true,
    });
}

pub(crate) use connector::keyway::host::{connection, log, scratch, state};
