//! Defaults and effects in Chinese.

use crate::config::defaults::DefaultName;

/// Defaults that are words.
const DEFAULTS: [(&str, &str); 6] = [
    ("none", "无"),
    ("any", "不限"),
    ("empty", "空"),
    ("a key made of the secret", "由密钥派生"),
    ("the first register address", "第一个 register 地址"),
    ("those of the system", "系统自带的"),
];

/// When a new value of a setting counts; docs/operations.zh-CN.md has the same words.
const EFFECTS: [(&str, &str); 8] = [
    ("at once", "立即"),
    ("at once, for those who are connected too", "立即，对已连接的客户端也生效"),
    ("at once; the count of unanswered pings begins anew", "立即；未应答的 ping 重新计数"),
    ("for connections from now on", "对此后的连接生效"),
    (
        "for connections from now on; those that are here count, and stay",
        "对此后的连接生效；已有的连接计入数目，但会保留",
    ),
    ("for connections from now on, and for those that end", "对此后的连接生效，对此后结束的连接也生效"),
    ("after a restart", "重启之后"),
    ("other files after a restart; what is in the files at once", "换成别的文件：重启之后；文件的内容：立即"),
];

pub(super) fn default(name: &DefaultName) -> Result<String, String> {
    Ok(match name {
        DefaultName::Value(text) => text.clone(),
        DefaultName::Words(english) => translated("default", &DEFAULTS, english)?,
        DefaultName::MemoryShare { divisor, most } => format!("内存的 1/{divisor}，最多 {most}"),
        DefaultName::CountInMemory { divisor, each_kib, most } => {
            format!("{most}；按每个 {each_kib} KiB 计，内存的 1/{divisor} 不够时更少")
        }
    })
}

pub(super) fn effect(english: &str) -> Result<String, String> {
    translated("effect", &EFFECTS, english)
}

fn translated(kind: &str, words: &[(&str, &str)], english: &str) -> Result<String, String> {
    let known = words.iter().find(|(known, _)| *known == english);
    let missing = || {
        let list = kind.to_uppercase();
        format!(
            "the {kind} {english:?} has no translation in {list}S of gateway-server/src/config/reference/words.rs"
        )
    };
    known.map(|(_, chinese)| (*chinese).to_owned()).ok_or_else(missing)
}

#[test]
fn words_without_a_translation_are_named() {
    let error = default(&DefaultName::Words("whatever comes")).unwrap_err();
    assert!(error.contains("\"whatever comes\" has no translation in DEFAULTS"), "{error}");
    let error = effect("tomorrow").unwrap_err();
    assert!(error.contains("\"tomorrow\" has no translation in EFFECTS"), "{error}");
}
