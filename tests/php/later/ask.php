<?php

/**
 * Asks a page, and sends it messages before it has answered: the page answers only when it has them.
 *
 *   php ask.php REGISTER CLIENT_ID
 */

declare(strict_types=1);

use PushGateway\Gateway;

[, Gateway::$registerAddress, $client] = $argv;
$answer = Gateway::later('ask', [$client, 'how many?']);
for ($i = 0; $i < 100; $i++) {
    Gateway::sendToClient($client, "message $i");
}
echo json_encode([
    'flushed' => Gateway::flush(2.0),
    'online' => Gateway::isOnline($client),
    'answers' => $answer->resolve(),
    'unknown' => Gateway::later('ask', ['nobody', 'there?'])->resolve(),
]);
