//! What a workspace may have made: so many connectors, connections and recipes.

use serde_json::{Value, json};

use crate::code;
use crate::harness::{INTAKE, Stage, with_manifest};
use crate::routes::Api;

#[test]
pub(super) fn a_workspace_has_so_many_connectors_and_an_install_beyond_them_is_refused_by_name() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.ok("workspace limits set acme connectors_per_workspace_max=2");
    let (first, second) = (code::install(&stage, 1), code::install(&stage, 2));
    let file = stage.dir.path().join("orders-3.wasm");
    let third = with_manifest("orders.wasm", |manifest| {
        manifest.replacen("\"orders\"", "\"orders-3\"", 1)
    });
    stage.write("orders-3.wasm", third);
    let said = stage.refused(&format!("connector install {}", file.display()));
    assert!(
        said.contains("`connectors_per_workspace_max` (2)") && said.contains("[limits]"),
        "{said}"
    );
    let is_of_refused = |line: &Value| {
        let record = &line["record"];
        record["operation"] == "connector:install"
            && record["decision"] == "denied"
            && record["reason"] == "limit"
            && record["remedy"]
                .as_str()
                .is_some_and(|why| why.contains("`connectors_per_workspace_max` (2)"))
    };
    let audit = stage.audit();
    assert!(audit.iter().any(is_of_refused), "{:?}", audit.last());
    // A caller of the API is told as for any other limit.
    let admin = Api::of(&stage, "acme", "admin");
    let body = std::fs::read(&file).unwrap();
    let path = "/api/v1/workspaces/acme/development/connectors";
    let (status, told) = admin.send("POST", path, &body);
    assert_eq!(status, 429, "{told}");
    assert!(told.contains("\"too-many\""), "{told}");
    stage.ok("--environment production workspace limits set acme connectors_per_workspace_max=2");
    // In each environment together, and what is there already is no further one.
    let elsewhere = format!(
        "--environment production connector install {}",
        file.display()
    );
    assert!(
        stage
            .refused(&elsewhere)
            .contains("connectors_per_workspace_max")
    );
    for name in [&first, &second] {
        let file = stage.dir.path().join(format!("{name}.wasm"));
        stage.ok(&format!("connector install {}", file.display()));
    }
    stage.ok("workspace limits set acme connectors_per_workspace_max=3");
    stage.ok(&format!("connector install {}", file.display()));
    // It is each workspace's own.
    stage.ok("workspace create rival");
    stage.ok(&format!(
        "--workspace rival connector install {}",
        file.display()
    ));
}

/// The denial of `operation` that names a limit, in what the audit says.
fn denied_by(stage: &Stage, operation: &str, told: &str) -> bool {
    stage.audit().iter().any(|line| {
        let record = &line["record"];
        record["operation"] == operation
            && record["decision"] == "denied"
            && record["reason"] == "limit"
            && record["remedy"]
                .as_str()
                .is_some_and(|why| why.contains(told))
    })
}

#[test]
pub(super) fn a_workspace_has_so_many_connections_and_the_next_is_not_made() {
    let stage = Stage::with_shop();
    let told = "`connections_per_workspace_max` (2)";
    stage.ok("workspace limits set acme connections_per_workspace_max=2");
    let create = |name: &str| {
        format!(
            "connection create {name} --connector orders --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
            stage.upstream.port
        )
    };
    stage.ok(&create("second"));
    let said = stage.refused(&create("third"));
    assert!(said.contains(told) && said.contains("[limits]"), "{said}");
    assert!(denied_by(&stage, "connection:create", told));
    // What is wrong with it is told first, and takes no place.
    assert!(stage.refused(&create("second")).contains("already"));
    let admin = Api::of(&stage, "acme", "admin");
    let path = "/api/v1/workspaces/acme/development/connections";
    let parameters =
        json!({ "host": "localhost", "port": stage.upstream.port.to_string(), "scheme": "http" });
    let body = json!({ "name": "third", "connector": "orders", "parameters": parameters, "credential": "a-long-credential" });
    let (status, reply) = admin.send("POST", path, body.to_string().as_bytes());
    assert_eq!(status, 429, "{reply}");
    assert!(
        reply.contains("\"too-many\"") && reply.contains(told),
        "{reply}"
    );
    assert_eq!(stage.json("connection list").as_array().unwrap().len(), 2);
    stage.ok("workspace limits set acme connections_per_workspace_max=3");
    stage.ok(&create("third"));
}

#[test]
pub(super) fn a_workspace_has_so_many_recipes_and_a_new_version_is_no_further_one() {
    let stage = Stage::with_shop();
    let told = "`recipes_per_workspace_max` (2)";
    stage.ok("workspace limits set acme recipes_per_workspace_max=2");
    let named = |name: &str| INTAKE.replace("recipe: intake", &format!("recipe: {name}"));
    for name in ["first", "second", "first"] {
        stage.apply(name, &named(name)).unwrap();
    }
    stage.ok("recipe stop first");
    stage.write("third.yaml", named("third"));
    let said = stage.refused("recipe apply third.yaml");
    assert!(said.contains(told) && said.contains("[limits]"), "{said}");
    assert!(denied_by(&stage, "recipe:apply", told));
    assert_eq!(stage.json("recipe list").as_array().unwrap().len(), 2);
    // In each environment together.
    stage.ok("--environment production workspace limits set acme recipes_per_workspace_max=2");
    stage.write(
        "elsewhere.yaml",
        "recipe: elsewhere\ntrigger: { webhook: {} }\nsteps:\n  - respond: { status: 200, body: \"${ trigger.body }\" }\n",
    );
    let said = stage.refused("--environment production recipe apply elsewhere.yaml");
    assert!(said.contains(told), "{said}");
    stage.ok("workspace limits set acme recipes_per_workspace_max=3");
    stage.apply("third", &named("third")).unwrap();
}
