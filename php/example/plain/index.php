<?php

declare(strict_types=1);

// The front end in plain PHP: the router script of PHP's built-in server, and everything that the page does.

use GatewayClient\Gateway;

use function example\jqueryDirectory;
use function example\missingExtension;
use function example\sendAsset;
use function example\stop;

require __DIR__ . '/../shared/environment.php';
require __DIR__ . '/session.php';
require __DIR__ . '/store.php';

set_exception_handler(static function (Throwable $e): void {
    error_log((string) $e);
    stop($e->getMessage());
});

$path = strtok($_SERVER['REQUEST_URI'], '?');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    startSession();
    requireToken();
    match ($path) {
        '/login' => login(),
        '/logout' => logout(),
        '/comment' => comment(),
        '/bind-uid' => bindUid(),
        default => stop('Not found', 404),
    };
} else {
    match ($path) {
        '/' => page(),
        '/demo.css', '/demo.js' => sendAsset(__DIR__ . "/../shared$path"),
        '/csrf.js' => sendAsset(__DIR__ . $path),
        '/jquery.min.js' => sendAsset(jqueryDirectory() . $path),
        default => stop('Not found', 404),
    };
}

function page(): void
{
    startSession();
    $user = currentUser();
    $users = users();
    $comments = $user ? comments($user['id']) : [];
    $flash = takeFlash();
    require __DIR__ . '/page.php';
}

function login(): void
{
    $id = post('user');
    if (isset(users()[$id])) {
        session_regenerate_id(true);
        $_SESSION['uid'] = (int) $id;
    } else {
        flash('error', 'there is no such user');
    }
    goHome();
}

function logout(): void
{
    session_regenerate_id(true);
    $_SESSION = [];
    goHome();
}

function comment(): void
{
    $author = requireUser();
    $receiverId = post('receiverId');
    // Browsers send CR LF for a line end, which the textarea's maxlength counts as one character.
    $content = trim(str_replace("\r\n", "\n", post('content')));

    if (!isset(users()[$receiverId])) {
        flash('error', 'not saved: there is no such receiver');
    } elseif (!preg_match('/^.{1,1000}$/su', $content)) {
        flash('error', 'not saved: a comment has 1 to 1000 characters');
    } else {
        addComment($author['id'], (int) $receiverId, $content);
        try {
            /**
             * 通知被评论者
             */
            Gateway::$registerAddress = '127.0.0.1:1238';
            // 这里的消息必须做json_encode
            Gateway::sendToUid($receiverId, json_encode('有新评论'));
            flash('success', 'saved, and the live notification was sent');
        } catch (Throwable $e) {
            error_log((string) $e);
            flash('warning', 'saved, but the live notification was not delivered: ' . (missingExtension() ?? $e->getMessage()));
        }
    }
    goHome();
}

/**
 * 绑定uid
 */
function bindUid(): void
{
    $user = requireUser();
    if (($_SERVER['HTTP_X_REQUESTED_WITH'] ?? '') === 'XMLHttpRequest') {
        $clientId = post('client_id');
        //指定register的地址。仅指定ip地址及端口号即可
        Gateway::$registerAddress = '127.0.0.0:1238';
        Gateway::bindUid($clientId, $user['id']);
    }
}

/** A field of the posted form. An array in place of a text counts as an empty text. */
function post(string $name): string
{
    return is_string($_POST[$name] ?? null) ? $_POST[$name] : '';
}

function goHome(): void
{
    header('Location: /', response_code: 303);
}
