<?php

declare(strict_types=1);

// Prints the address where it listens, takes one connection, and answers the request with bytes: one-answer.php BASE64 THEN. It
// prints the request. THEN is `close`, `wait` for what never comes, `trickle` a byte now and then, or `flood` without end; with
// a third argument, the file of a certificate and its key, over TLS.

[, $bytes, $then] = $argv;
$context = stream_context_create(['ssl' => ['local_cert' => $argv[3] ?? '']]);
$flags = STREAM_SERVER_BIND | STREAM_SERVER_LISTEN;
$transport = isset($argv[3]) ? 'ssl' : 'tcp';
$listener = stream_socket_server("$transport://127.0.0.1:0", $code, $error, $flags, $context) ?: exit(1);
echo stream_socket_get_name($listener, false), "\n";
$connection = @stream_socket_accept($listener, 60) ?: exit(1);
$request = '';
while (!str_contains($request, "\r\n\r\n")) {
    $request .= fread($connection, 65536) ?: exit(1);
}
preg_match('/^Content-Length: (\d+)\r$/mi', $request, $length);
while (strlen(explode("\r\n\r\n", $request, 2)[1]) < (int) ($length[1] ?? 0)) {
    $request .= fread($connection, 65536) ?: exit(1);
}
echo $request;
fwrite($connection, base64_decode($bytes));
while ($then !== 'close') {
    if ($then !== 'wait' && @fwrite($connection, $then === 'flood' ? str_repeat('x', 1 << 20) : 'x') === false) {
        exit;
    }
    if ($then !== 'flood') {
        usleep(20000);
    }
}
