<?php

declare(strict_types=1);

// Functions that both front ends of the example use: its places on the machine, and its templates.

namespace example;

/** The directory for everything that a front end writes. DEMO_DATA names another. */
function dataDirectory(string $example): string
{
    return writableDirectory(getenv('DEMO_DATA') ?: sys_get_temp_dir() . "/push-gateway-demo-$example");
}

/** Makes the directory if need be. Several PHP workers may do so at once. */
function writableDirectory(string $directory): string
{
    if (!is_dir($directory) && !@mkdir($directory, 0700, true) && !is_dir($directory)) {
        throw new \RuntimeException("Cannot make the directory $directory. DEMO_DATA may name another one.");
    }
    if (!is_writable($directory)) {
        throw new \RuntimeException("Cannot write to $directory. DEMO_DATA may name another directory.");
    }

    return $directory;
}

/** The directory with jquery.min.js: that of Debian's libjs-jquery unless JQUERY_PATH names another. */
function jqueryDirectory(): string
{
    $directory = getenv('JQUERY_PATH') ?: '/usr/share/javascript/jquery';
    if (!is_file("$directory/jquery.min.js")) {
        throw new \RuntimeException(
            "There is no jquery.min.js in $directory.\n"
            . 'Install jQuery (Debian: apt install libjs-jquery), or name its directory in JQUERY_PATH.'
        );
    }

    return $directory;
}

/** Creates the tables and the users on the first use. */
function prepareDatabase(\PDO $pdo): void
{
    if (!$pdo->query('PRAGMA user_version')->fetchColumn()) {
        $pdo->exec(file_get_contents(__DIR__ . '/schema.sql'));
    }
}

/** Says why nothing can be pushed from this PHP; null when it can. */
function missingExtension(): ?string
{
    return class_exists(\GatewayClient\Gateway::class)
        ? null
        : 'the gateway extension is not loaded: add extension=gateway to php.ini, or start PHP with -d extension=gateway';
}

/**
 * The command that runs the example's console from a shell in any folder, with this PHP, its extension and its settings. DEMO_CONSOLE
 * names another command, where the shell is on another machine than the page.
 */
function console(string $script): string
{
    if (getenv('DEMO_CONSOLE')) {
        return getenv('DEMO_CONSOLE');
    }
    $words = [];
    foreach (['YII2_PATH', 'DEMO_DATA', 'GATEWAY_REGISTER'] as $variable) {
        if ($value = getenv($variable)) {
            $words[] = "$variable=" . word(realpath($value) ?: $value);
        }
    }
    $started = PHP_SAPI === 'cli-server' ? explode("\0", (string) @file_get_contents('/proc/self/cmdline')) : [];
    $words[] = $started === [] ? 'php' : word(PHP_BINARY);
    // The options with which PHP was started, such as -d extension=gateway, are taken over.
    foreach ($started as $index => $option) {
        if ($option === '-d' || $option === '-c') {
            array_push($words, $option, word($started[$index + 1] ?? ''));
        } elseif ($option === '-n') {
            $words[] = $option;
        }
    }
    $words[] = word($script);

    return implode(' ', $words);
}

/** Quotes the text if need be, such that a shell takes it for one word. */
function word(string $text): string
{
    return preg_match('~^[\w@%+=:,./-]+\z~', $text) ? $text : escapeshellarg($text);
}

/** Sends a style sheet or a script. Returns false if the file is neither, or does not exist. */
function sendAsset(string $file): bool
{
    $type = ['css' => 'text/css', 'js' => 'text/javascript'][pathinfo($file, PATHINFO_EXTENSION)] ?? null;
    if ($type === null || !is_file($file)) {
        return false;
    }
    header("Content-Type: $type; charset=utf-8");
    readfile($file);

    return true;
}

/**
 * Renders a template of this folder.
 *
 * @param array<string, mixed> $variables
 */
function render(string $template, array $variables): string
{
    return (static function () use ($template, $variables): string {
        extract($variables);
        ob_start();
        require __DIR__ . "/$template.php";

        return (string) ob_get_clean();
    })();
}

function escape(string $text): string
{
    return htmlspecialchars($text);
}

/** Ends the request with a page of plain text. */
function stop(string $why, int $status = 500): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit("$why\n");
}
