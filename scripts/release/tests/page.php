<?php

/**
 * Stands for a page: opens a websocket and prints each message as a line, at most as many as the second argument says, within a minute.
 *
 *     php page.php 127.0.0.1:8282 2
 */

$fail = function (string $why): never {
    fwrite(STDERR, "page: $why\n");
    exit(1);
};
[, $address, $wanted] = $argv;
$socket = @stream_socket_client("tcp://$address", $code, $why, 60) ?: $fail("$address: $why");
stream_set_timeout($socket, 60);
fwrite($socket, "GET / HTTP/1.1\r\nHost: $address\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    . 'Sec-WebSocket-Key: ' . base64_encode(random_bytes(16)) . "\r\n\r\n");
$status = (string) fgets($socket);
str_contains($status, ' 101 ') || $fail("the handshake was answered $status");
while (trim((string) fgets($socket)) !== '') {
    continue;
}

$read = function (int $length) use ($socket, $fail): string {
    $data = $length === 0 ? '' : stream_get_contents($socket, $length);

    return strlen((string) $data) === $length ? $data : $fail('the connection has ended, or was silent for a minute');
};
while ($wanted > 0) {
    [$first, $length] = array_values(unpack('C2', $read(2)));
    $length = match ($length) {
        126 => unpack('n', $read(2))[1],
        127 => unpack('J', $read(8))[1],
        default => $length,
    };
    $data = $read($length);
    // Pings are not answered, as the server waits longer for them than this does.
    if (($first & 0x0F) === 1) {
        echo $data, "\n";
        $wanted--;
    }
}
