<?php
// What the package says to people is in each of its languages: prints what is missing, and what nobody says.

$source = __DIR__ . '/../../../php/yii2/src';
$said = [];
foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($source, FilesystemIterator::SKIP_DOTS)) as $file) {
    if ($file->getExtension() !== 'php') {
        continue;
    }
    $tokens = array_values(array_filter(
        token_get_all(file_get_contents($file->getPathname())),
        fn ($token) => !is_array($token) || !in_array($token[0], [T_WHITESPACE, T_COMMENT, T_DOC_COMMENT], true)
    ));
    foreach ($tokens as $at => $token) {
        // Translation::t('…'
        if (is_array($token) && $token[1] === 't' && ($tokens[$at - 1][0] ?? null) === T_DOUBLE_COLON) {
            if (($tokens[$at - 2][1] ?? null) !== 'Translation') {
                continue;
            }
            $text = $tokens[$at + 2] ?? null;
            is_array($text) && $text[0] === T_CONSTANT_ENCAPSED_STRING || exit("{$file->getPathname()}: no text is said\n");
            $said[stripslashes(substr($text[1], 1, -1))] = true;
        }
    }
}
count($said) > 20 || exit("Only " . count($said) . " texts were found.\n");
foreach (glob("$source/messages/*/push-gateway.php") as $file) {
    $language = basename(dirname($file));
    $texts = require $file;
    foreach (array_diff_key($said, $texts) as $text => $_) {
        echo "$language lacks: $text\n";
    }
    foreach (array_diff_key($texts, $said) as $text => $_) {
        echo "nobody says, in $language: $text\n";
    }
    foreach ($texts as $text => $translated) {
        preg_match_all('/\{(\w+)(?:}|, plural)/', $text, $asked);
        preg_match_all('/\{(\w+)(?:}|, plural)/', $translated, $given);
        if (array_diff($asked[1], $given[1]) !== []) {
            echo "$language says less: $text\n";
        }
    }
}
