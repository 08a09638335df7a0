//! apt's settings (apt.conf(5)): the tree that `/etc/apt/apt.conf.d` and `/etc/apt/apt.conf` make, read as apt does.
//!
//! It gives settings no meaning. What this reader can't follow (an `#include`) is listed, so that apt can be asked.

use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// The longest settings file, and the most of them.
const MAX_FILE: u64 = 4 << 20;
const MAX_FILES: usize = 4096;

/// Where apt looks for its files unless told otherwise.
const DEFAULTS: [(&str, &str); 13] = [
    ("Dir", "/"),
    ("Dir::Etc", "etc/apt"),
    ("Dir::Etc::main", "apt.conf"),
    ("Dir::Etc::parts", "apt.conf.d"),
    ("Dir::Etc::sourcelist", "sources.list"),
    ("Dir::Etc::sourceparts", "sources.list.d"),
    ("Dir::Etc::preferences", "preferences"),
    ("Dir::Etc::preferencesparts", "preferences.d"),
    ("Dir::Cache", "var/cache/apt"),
    ("Dir::Cache::archives", "archives/"),
    ("Dir::State", "var/lib/apt"),
    ("Dir::State::lists", "lists/"),
    ("Dir::Bin::ischroot", "/usr/bin/ischroot"),
];

/// One setting: scopes joined by `::`, in small letters since case doesn't count. An item of a list ends in `::`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    key: String,
    value: String,
}

/// All settings, in the order in which they were first made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    settings: Vec<Setting>,
    /// What the files use that this reader doesn't follow.
    pub unknown: Vec<String>,
}

impl Default for Conf {
    fn default() -> Self {
        let mut conf = Self { settings: Vec::new(), unknown: Vec::new() };
        for (key, value) in DEFAULTS {
            conf.set(key, value);
        }
        conf
    }
}

impl Conf {
    /// What the files under `root` say, in apt's order: the parts by name, then the main file.
    pub fn read(root: &Root, problems: &mut ProblemList) -> Self {
        let mut conf = Self::default();
        let parts = conf.path("Dir::Etc::parts");
        for name in part_names(root, &parts, &["conf"], problems) {
            conf.read_file(root, &format!("{}/{name}", parts.trim_end_matches('/')), problems);
        }
        let main = conf.path("Dir::Etc::main");
        conf.read_file(root, &main, problems);
        conf
    }

    fn read_file(&mut self, root: &Root, name: &str, problems: &mut ProblemList) {
        match read::read_optional(root, name, MAX_FILE) {
            Ok(None) => {}
            Ok(Some(text)) => self.apply(&String::from_utf8_lossy(&text), name, problems),
            Err(error) => problems.push(error.to_problem(Weight::Incomplete)),
        }
    }

    /// Applies the settings of one file. Its first syntax error ends it, as it ends apt.
    pub fn apply(&mut self, text: &str, place: &str, problems: &mut ProblemList) {
        let mut scopes: Vec<String> = Vec::new();
        let mut fragments = Fragments::new(text);
        while let Some(fragment) = fragments.next() {
            let scope = scopes.last().map_or("", String::as_str);
            let result = match fragment.end {
                End::Open => self.open(scope, &fragment.words).map(|inner| scopes.push(inner)),
                End::Item => self.apply_item(scope, &fragment.words, place),
                End::Close => self.apply_item(scope, &fragment.words, place).map(|()| {
                    // apt passes over a } too many.
                    scopes.pop();
                }),
                End::File if fragment.words.is_empty() => Ok(()),
                End::File => Err("the last setting has no ; at its end"),
            };
            if let Err(reason) = result {
                let message = format!("{reason}; apt refuses to work until this is repaired");
                problems.push(
                    Problem::new(ProblemKind::Malformed, Weight::Incomplete, place, message)
                        .at_line(fragment.line),
                );
                return;
            }
        }
    }

    fn open(&mut self, scope: &str, words: &[String]) -> Result<String, &'static str> {
        match words {
            [name] => Ok(join(scope, name)),
            [name, value] => {
                self.set(&join(scope, name), value);
                Ok(join(scope, name))
            }
            [] => Err("a { has no name before it"),
            _ => Err("there are too many words before a {"),
        }
    }

    fn apply_item(&mut self, scope: &str, words: &[String], place: &str) -> Result<(), &'static str> {
        match words {
            [] => {}
            [directive, argument] if directive == "#clear" => self.clear(argument),
            [directive, argument] if directive == "#include" => {
                self.unknown.push(format!("the inclusion of {argument} in {place}"));
            }
            [directive, ..] if directive.starts_with('#') => {
                return Err("this directive is not known to apt");
            }
            [value] => self.set(&join(scope, ""), value),
            [name, value] => self.set(&join(scope, name), value),
            _ => return Err("there are too many words in a setting"),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) {
        let key = key.to_ascii_lowercase();
        let known = self.settings.iter_mut().find(|setting| setting.key == key && !key.ends_with("::"));
        match known {
            Some(setting) => value.clone_into(&mut setting.value),
            None => self.settings.push(Setting { key, value: value.to_owned() }),
        }
    }

    fn clear(&mut self, key: &str) {
        let key = key.to_ascii_lowercase();
        let inside = format!("{key}::");
        self.settings.retain(|setting| setting.key != key && !setting.key.starts_with(&inside));
    }

    /// The value of a setting, if it has one.
    pub fn find(&self, key: &str) -> Option<&str> {
        let key = key.to_ascii_lowercase();
        let setting = self.settings.iter().find(|setting| setting.key == key)?;
        Some(setting.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The items of a list; of a setting that is no list, its value cut at commas.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let inside = format!("{}::", key.to_ascii_lowercase());
        let is_item = |setting: &&Setting| {
            setting.key.strip_prefix(&inside).is_some_and(|name| !name.trim_end_matches("::").contains("::"))
        };
        let items: Vec<_> =
            self.settings.iter().filter(is_item).map(|setting| setting.value.as_str()).collect();
        if items.is_empty() {
            self.find(key).map(|value| value.split(',').collect()).unwrap_or_default()
        } else {
            items
        }
    }

    /// A yes or no; none if it is not set, or says neither.
    pub fn flag(&self, key: &str) -> Option<bool> {
        parse_flag(self.find(key)?)
    }

    /// A number of seconds.
    pub fn seconds(&self, key: &str) -> Option<i64> {
        self.find(key)?.parse().ok().filter(|&seconds| seconds != 0)
    }

    /// Whether any setting of this name or inside of it was made.
    pub fn has(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        let inside = format!("{key}::");
        self.settings.iter().any(|setting| setting.key == key || setting.key.starts_with(&inside))
    }

    /// The path that a setting under `Dir` names, each scope's value before the next until one is absolute.
    /// Empty where apt would read nothing.
    pub fn path(&self, key: &str) -> String {
        let Some(own) = self.find(key) else {
            return String::new();
        };
        let mut path = own.to_owned();
        let mut scope = key;
        while let Some((outer, _)) = scope.rsplit_once("::") {
            scope = outer;
            if path.starts_with('/')
                || path.starts_with("./")
                || path.starts_with("~/")
                || path.starts_with("../")
            {
                break;
            }
            if let Some(before) = self.find(scope) {
                path = format!("{}/{path}", before.trim_end_matches('/'));
            }
        }
        if path.starts_with("/dev/null") {
            return String::new();
        }
        match self.find("RootDir") {
            Some(root) => format!("{}/{}", root.trim_end_matches('/'), path.trim_start_matches('/')),
            None => path,
        }
    }
}

/// apt's words for yes and no.
pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "with" | "on" | "enable" => Some(true),
        "no" | "false" | "without" | "off" | "disable" => Some(false),
        number => number.parse::<i64>().ok().map(|number| number != 0),
    }
}

/// The files of a directory that apt reads, by name: run-parts' rule, one of `extensions` or none at all for
/// preferences and settings. Directories among them are left to the reading to refuse.
pub(crate) fn part_names(
    root: &Root,
    directory: &str,
    extensions: &[&str],
    problems: &mut ProblemList,
) -> Vec<String> {
    if directory.is_empty() {
        return Vec::new();
    }
    let names = match read::list(root, directory, MAX_FILES) {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Vec::new(),
        Err(error) => {
            problems.push(error.to_problem(Weight::Incomplete));
            return Vec::new();
        }
    };
    let is_plain = |name: &String| {
        !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
    };
    let has_extension = |name: &String| match name.rsplit_once('.') {
        Some((_, extension)) => extensions.contains(&extension),
        None => extensions.contains(&"conf") || extensions.contains(&"pref"),
    };
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let is_file = |name: &String| {
        root.resolve(format!("{}/{name}", directory.trim_end_matches('/'))).is_ok_and(|path| !path.is_dir())
    };
    names.filter(is_plain).filter(has_extension).filter(is_file).collect()
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}::{name}") }
}

/// What ends a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Item,
    Open,
    Close,
    File,
}

/// The words between two of `;`, `{`, `}`.
#[derive(Debug)]
struct Fragment {
    words: Vec<String>,
    end: End,
    line: u64,
}

/// Cuts a settings file into fragments, without comments.
struct Fragments<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: u64,
    is_done: bool,
}

impl<'a> Fragments<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), line: 1, is_done: false }
    }

    fn next(&mut self) -> Option<Fragment> {
        if self.is_done {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        let mut after_quoted: Option<&str> = None;
        let end = loop {
            match self.take() {
                None => {
                    self.is_done = true;
                    break End::File;
                }
                Some(';') => break End::Item,
                Some('{') => break End::Open,
                Some('}') => break End::Close,
                Some('"') => {
                    let text = self.take_quoted();
                    // As in C, quoted texts behind the name are one; a blank between them stays.
                    let joins = after_quoted.filter(|_| words.len() > 1);
                    match (words.last_mut(), joins) {
                        (Some(last), Some(blank)) => {
                            last.push_str(blank);
                            last.push_str(&text);
                        }
                        _ => words.push(text),
                    }
                    after_quoted = Some("");
                }
                Some('/') if self.rest.peek() == Some(&'/') => self.skip_line(),
                Some('/') if self.rest.peek() == Some(&'*') => self.skip_comment(),
                Some('#') if !self.is_directive() => self.skip_line(),
                Some(c) if c.is_whitespace() => after_quoted = after_quoted.map(|_| " "),
                Some(c) => {
                    words.push(self.take_word(c));
                    after_quoted = None;
                }
            }
        };
        Some(Fragment { words, end, line: self.line })
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next();
        self.line += u64::from(c == Some('\n'));
        c
    }

    fn is_directive(&self) -> bool {
        let ahead: String = self.rest.clone().take(8).collect();
        ahead.starts_with("clear") || ahead.starts_with("include")
    }

    fn take_quoted(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.take().filter(|&c| c != '"') {
            text.push(c);
        }
        text
    }

    fn take_word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(&c) = self.rest.peek() {
            let is_comment =
                c == '/' && self.rest.clone().nth(1).is_some_and(|next| next == '/' || next == '*');
            if c.is_whitespace() || matches!(c, ';' | '{' | '}' | '"' | '#') || is_comment {
                break;
            }
            word.push(c);
            self.take();
        }
        word
    }

    fn skip_line(&mut self) {
        while self.take().is_some_and(|c| c != '\n') {}
    }

    fn skip_comment(&mut self) {
        let mut before = ' ';
        self.take();
        while let Some(c) = self.take() {
            if before == '*' && c == '/' {
                return;
            }
            before = c;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Conf, Vec<Problem>) {
        let mut problems = ProblemList::new("the settings");
        let mut conf = Conf::default();
        conf.apply(text, "apt.conf", &mut problems);
        (conf, problems.into_problems())
    }

    #[test]
    fn scopes_lists_and_comments_make_one_tree() {
        let (conf, problems) = parse(
            "APT { Architectures { \"amd64\"; \"i386\"; }; // two\n Default-Release \"stable\"; }\n\
             apt::get::Assume-Yes \"true\"; # not this\n/* nor \"this\"; */\n\
             Acquire::Languages \"none\"; DPkg::Post-Invoke { \"a; b // c\" ; };\n\
             APT::Architectures:: \"arm64\";",
        );
        assert_eq!(problems, []);
        assert_eq!(conf.list("APT::Architectures"), ["amd64", "i386", "arm64"]);
        assert_eq!(conf.find("apt::default-release"), Some("stable"));
        assert_eq!(conf.flag("APT::Get::Assume-Yes"), Some(true));
        assert_eq!(conf.list("DPkg::Post-Invoke"), ["a; b // c"]);
        assert!(conf.has("DPkg") && !conf.has("DP"));
    }

    #[test]
    fn a_setting_can_be_cleared_and_made_again() {
        let (conf, problems) = parse("A::B \"1\"; A::B \"2\"; L { \"x\"; }; #clear L;\nL { \"y\"; };");
        assert_eq!(problems, []);
        assert_eq!(conf.find("A::B"), Some("2"));
        assert_eq!(conf.list("L"), ["y"]);
    }

    #[test]
    fn a_syntax_error_is_named_by_its_line() {
        for text in ["A::B \"1\" 2;", "A::B \"1\";\n{ };", "A::B \"1\"\n", "A b c d;"] {
            let (_, problems) = parse(text);
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].weight, Weight::Incomplete);
        }
        let (conf, problems) = parse("A { B \"1\" \"2\"\"3\"; }; } C \"d\"; E {");
        assert_eq!((conf.find("a::b"), conf.find("c"), problems.len()), (Some("1 23"), Some("d"), 0));
        let (conf, problems) = parse("#include \"/etc/x\";");
        assert_eq!((problems.len(), conf.unknown.len()), (0, 1));
    }

    #[test]
    fn paths_are_put_together_from_their_scopes() {
        let (conf, _) = parse(
            "Dir::Etc \"etc/other\"; Dir::State \"/srv/apt\"; Dir::Etc::preferencesparts \"/dev/null\";",
        );
        assert_eq!(conf.path("Dir::Etc::sourcelist"), "/etc/other/sources.list");
        assert_eq!(conf.path("Dir::State::lists"), "/srv/apt/lists/");
        assert_eq!(conf.path("Dir::Etc::preferencesparts"), "");
        let (conf, _) = parse("RootDir \"/x\";");
        assert_eq!(conf.path("Dir::Etc::main"), "/x/etc/apt/apt.conf");
    }
}
