<?php

declare(strict_types=1);

// Sends numbers to a client by the gateway of a DSN, until a file is there, and prints how many: numbers.php DSN CLIENT FILE

(require __DIR__ . '/../../../php/autoload.php')(__DIR__ . '/../../../php/gateway');

[, $dsn, $client, $file] = $argv;
$gateway = PushGateway\GatewayFactory::create($dsn);
$sent = 0;
do {
    clearstatcache();
    $isLast = file_exists($file);
    $gateway->sendToClient($client, (string) ++$sent);
} while (!$isLast);
echo $sent;
