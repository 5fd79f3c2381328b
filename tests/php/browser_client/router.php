<?php
// What a page of the browser client needs of its site: the client in both forms, tokens, and a place to bind.

use GatewayClient\Gateway;

const CSRF = 'the token of this page';
const CLIENT = __DIR__ . '/../../../php/client';
const PAGE = '<!DOCTYPE html><meta name="csrf-token" content="' . CSRF . '"><script src="/page.js"></script>';

header('Cache-Control: no-store');
switch ($path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/module':
        echo PAGE, '<script type="module">import {Gateway} from "/gateway.js"; window.Gateway = Gateway</script>';
        break;

    case '/global':
        echo PAGE, '<script src="/gateway.global.js"></script>';
        break;

    case '/gateway.js':
    case '/gateway.global.js':
    case '/page.js':
        header('Content-Type: text/javascript');
        readfile(($path === '/page.js' ? __DIR__ : CLIENT) . $path);
        break;

    case '/token':
        echo Gateway::token($_GET['uid'], 60);
        break;

    // What sites answer where a token is asked for.
    case '/ask':
        $isPage = ($_SERVER['HTTP_X_CSRF_TOKEN'] ?? '') === CSRF && $_SERVER['REQUEST_METHOD'] === 'POST';
        $answer = $isPage ? $_GET['with'] : 'elsewhere';
        if (str_starts_with($answer, 'json')) {
            header('Content-Type: application/json; charset=UTF-8');
        }
        match ($answer) {
            'text' => print Gateway::token('ann', 60) . "\n",
            'json' => print json_encode(['token' => Gateway::token('ann', 60)]),
            'json of nobody' => print '{"token":null}',
            'json without' => print '{"error":"none"}',
            'page' => print '<!DOCTYPE html><title>Oops</title><p>An error that is shown with status 200',
            'nothing' => null,
            'login' => header('Location: /module'),
            default => http_response_code((int) $answer),
        };
        break;

    case '/bind':
        try {
            http_response_code(bind());
        } catch (GatewayException) {
            http_response_code(503);
        }
        break;

    case '/login':
        header('Location: /module');
        break;

    default:
        http_response_code(404);
}

function bind(): int
{
    $isPage = ($_SERVER['HTTP_X_CSRF_TOKEN'] ?? '') === CSRF && $_SERVER['REQUEST_METHOD'] === 'POST'
        && $_SERVER['CONTENT_TYPE'] === 'application/x-www-form-urlencoded;charset=UTF-8';
    if (!$isPage || !Gateway::isClientProof($_POST['client_id'], $_POST['proof'])) {
        return 403;
    }
    Gateway::bindUid($_POST['client_id'], $_GET['uid']);

    return 204;
}
