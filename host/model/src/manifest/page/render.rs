//! The capability page as plain text.

use super::{Ability, Capability, CapabilityPage, Redirects, Requests, list};

const NARROWEST: usize = 40;
const INDENT: &str = "    ";

pub(super) fn render(page: &CapabilityPage, width: usize) -> String {
    let mut text = Text {
        out: String::new(),
        width: width.max(NARROWEST),
    };
    text.line(
        "",
        &format!("{} {} - {}", page.name, page.version, page.title),
    );
    text.line("", &page.digest.to_string());
    if !page.description.is_empty() {
        text.line("", &page.description);
    }
    text.blank();
    text.line(
        "",
        &format!("may use: {}", or_nothing(list(&page.capabilities))),
    );
    text.line("", &format!("imports: {}", or_nothing(list(&page.imports))));
    text.line(
        "",
        &format!(
            "credential: {}",
            page.credential.as_deref().unwrap_or("none")
        ),
    );
    for parameter in &page.parameters {
        let default = parameter
            .default
            .as_ref()
            .map(|d| format!(", default {d}"))
            .unwrap_or_default();
        text.line(
            "",
            &format!(
                "parameter {{{}}}: {} ({}{default})",
                parameter.name, parameter.title, parameter.kind
            ),
        );
    }
    for (name, value) in page.limits.entries() {
        let info = name.info();
        let words = format!(
            "asks for {name}: {value} {} (a platform's own is {} unless it says otherwise)",
            info.unit, info.default
        );
        text.line("", &words);
    }
    for ability in &page.abilities {
        text.blank();
        render_ability(&mut text, ability);
    }
    text.blank();
    text.line("", rest(page));
    text.out
}

/// What it cannot do, whatever it declares.
fn rest(page: &CapabilityPage) -> &'static str {
    if page.capabilities.contains(&Capability::Scratch) {
        "It can reach nothing else: no other host, method or path, no file but its own scratch files, which are sealed and gone after each call, no environment, no socket."
    } else {
        "It can reach nothing else: no other host, method or path, no file, no environment, no socket."
    }
}

fn render_ability(text: &mut Text, ability: &Ability) {
    let repeats = if ability.effect.repeats() {
        "may be repeated after a crash"
    } else {
        "never repeated by itself"
    };
    text.line("", &format!("{} - {}", ability.what, ability.title));
    text.line(INDENT, &format!("effect: {}, {repeats}", ability.effect));
    if ability.requests.is_empty() {
        text.line(INDENT, "sends nothing");
    }
    for requests in &ability.requests {
        render_requests(text, requests);
    }
    for (what, fields) in [
        ("takes", &ability.takes),
        ("masked in input", &ability.masked_input),
        ("masked in output", &ability.masked_output),
    ] {
        if !fields.is_empty() {
            text.line(INDENT, &format!("{what}: {}", list(fields)));
        }
    }
}

fn render_requests(text: &mut Text, requests: &Requests) {
    let credential = if requests.with_credential {
        "with the credential"
    } else {
        "without credential"
    };
    let redirects = match requests.redirects {
        Redirects::Return => "",
        Redirects::Follow => ", redirects are followed to where the action may go",
    };
    let Requests {
        destination,
        place,
        methods,
        ..
    } = requests;
    text.line(
        INDENT,
        &format!(
            "{} {place} ({destination}, {credential}{redirects})",
            list(methods)
        ),
    );
    for path in &requests.paths {
        text.line("        ", &path.to_string());
    }
}

fn or_nothing(text: String) -> String {
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}

struct Text {
    out: String,
    width: usize,
}

impl Text {
    fn blank(&mut self) {
        self.out.push('\n');
    }

    /// One paragraph; further lines are indented by four columns more.
    fn line(&mut self, indent: &str, words: &str) {
        let mut column = 0;
        for word in words.split_whitespace() {
            let length = word.chars().count();
            if column == 0 {
                self.out.push_str(indent);
                column = indent.len();
            } else if column + 1 + length > self.width {
                self.out.push('\n');
                self.out.push_str(indent);
                self.out.push_str(INDENT);
                column = indent.len() + INDENT.len();
            } else {
                self.out.push(' ');
                column += 1;
            }
            self.out.push_str(word);
            column += length;
        }
        self.out.push('\n');
    }
}
