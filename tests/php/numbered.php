<?php
// Binds the client ids on its input to one uid and sends that the numbers from 0 on: php numbered.php HOST:PORT COUNT.

use GatewayClient\Gateway;

[, Gateway::$registerAddress, $count] = $argv;

/** Calls again while the link is down: what throws was not accepted. */
function insist(string $method, mixed ...$arguments): mixed
{
    $deadline = microtime(true) + 60;
    while (true) {
        try {
            return Gateway::$method(...$arguments);
        } catch (GatewayException $e) {
            if (microtime(true) > $deadline) {
                throw $e;
            }
        }
    }
}

foreach (file('php://stdin', FILE_IGNORE_NEW_LINES) as $clientId) {
    insist('bindUid', $clientId, 'u');
}
for ($number = 0; $number < $count; $number++) {
    try {
        Gateway::sendToUid('u', (string) $number);
    } catch (GatewayException) {
        insist('sendToUid', 'u', (string) $number);
    }
}
// Answered when all before it has been done.
insist('isUidOnline', 'u');
echo json_encode(Gateway::stats()), "\n";
