<?php

/**
 * A worker as FrankenPHP has them: one script, many requests. Each of every second request fails once. All say which error the
 * request sees at its beginning and its end, and how many orders this thread's link has delivered so far.
 */

declare(strict_types=1);

$uid = host_argument();
$request = 0;
while (host_handle_request(function () use ($uid, &$request): void {
    $before = Gateway::lastError();
    if ($request % 2 === 0) {
        try {
            Gateway::sendToClient('nobody', 'x');
        } catch (Exception) {
            // It is what lastError() tells.
        }
    }
    Gateway::sendToUid($uid, host_thread() . ' ' . $request);
    $flushed = Gateway::flush(5.0);
    echo json_encode([
        'thread' => host_thread(),
        'request' => $request,
        'before' => $before,
        'has_failed' => Gateway::lastError() !== null,
        'flushed' => $flushed,
        'acked' => Gateway::stats()['acked'],
    ]) . "\n";
    $request++;
})) {
}
