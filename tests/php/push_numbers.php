<?php
// Sends a uid numbered messages, one every 10 ms: php push_numbers.php HOST:PORT UID MESSAGES

use GatewayClient\Gateway;

[, Gateway::$registerAddress, $uid, $messages] = $argv;

for ($number = 1; $number <= $messages; $number++) {
    Gateway::sendToUid($uid, json_encode(['type' => 'number', 'text' => $number]));
    usleep(10_000);
}
