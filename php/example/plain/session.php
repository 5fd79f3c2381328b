<?php

declare(strict_types=1);

// The session: the user who is logged in, the CSRF token, and a message that is shown once.

function startSession(): void
{
    session_start([
        'name' => 'push-gateway-demo-plain',
        'save_path' => example\writableDirectory(example\dataDirectory('plain') . '/sessions'),
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
        'use_strict_mode' => true,
    ]);
}

/** @return ?array{id: int, username: string} */
function currentUser(): ?array
{
    $id = $_SESSION['uid'] ?? 0;
    $username = users()[$id] ?? null;

    return $username === null ? null : ['id' => $id, 'username' => $username];
}

/** @return array{id: int, username: string} */
function requireUser(): array
{
    return currentUser() ?? example\stop('Log in first', 403);
}

function token(): string
{
    return $_SESSION['token'] ??= bin2hex(random_bytes(16));
}

/** Forms send the token as a field, and csrf.js sends it as a header. */
function requireToken(): void
{
    $sent = post('csrf') ?: $_SERVER['HTTP_X_CSRF_TOKEN'] ?? '';
    if (!hash_equals(token(), $sent)) {
        example\stop('This page is out of date: reload it', 400);
    }
}

function flash(string $kind, string $text): void
{
    $_SESSION['flash'] = [$kind, $text];
}

/** @return ?array{string, string} */
function takeFlash(): ?array
{
    $flash = $_SESSION['flash'] ?? null;
    unset($_SESSION['flash']);

    return $flash;
}
