//! The words of the Chinese documents and pages: those of Yii's own guide in Chinese where it has them, one for each thing.

use anyhow::ensure;
use gateway_tests::root;

use super::pages::pages;

/// Words that stand nowhere, and those that stand for the same.
const INSTEAD: [(&str, &str); 22] = [
    // Yii's guide: widget, action, group of clients, default.
    ("挂件", "小部件"),
    ("动作", "操作"),
    ("群组", "分组"),
    ("缺省", "默认"),
    ("载入", "加载"),
    ("装载", "加载"),
    // Often confused.
    ("秘钥", "密钥"),
    ("登陆", "登录"),
    ("帐号", "账号"),
    ("帐户", "账户"),
    ("阀值", "阈值"),
    ("其它", "其他"),
    // Not said in mainland China.
    ("伺服器", "服务器"),
    ("程式", "程序"),
    ("讯息", "消息"),
    ("网路", "网络"),
    ("预设", "默认"),
    ("封包", "数据包"),
    ("使用者", "用户"),
    ("执行绪", "线程"),
    ("资料库", "数据库"),
    ("侦听", "监听"),
];

/// Files that are no documents and have Chinese in them.
const OTHERS: [&str; 4] = [
    "docs/site/mkdocs.zh-CN.yml",
    "gateway-server/src/admin/dashboard/words.js",
    "php/example/yii2/messages/zh-CN/app.php",
    "php/yii2/src/messages/zh-CN/push-gateway.php",
];

#[test]
fn chinese_words_are_those_of_the_field() -> anyhow::Result<()> {
    let mut files = pages()?;
    files.retain(|page| page.to_string_lossy().ends_with(".zh-CN.md"));
    ensure!(files.len() > 40, "only {} pages were found", files.len());
    files.extend(OTHERS.map(|file| root().join(file)));
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter)), "{}", file.display());
        for (number, line) in text.lines().enumerate() {
            for (word, other) in INSTEAD.iter().filter(|(word, _)| line.contains(word)) {
                wrong.push(format!("{}:{}: {other} in place of {word}", file.display(), number + 1));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}
