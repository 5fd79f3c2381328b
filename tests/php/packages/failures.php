<?php

declare(strict_types=1);

// Prints what kind of failure a question for a client is by each DSN, and for a client_id that is none by the last: failures.php CLIENT DSN…

(require __DIR__ . '/../../../php/autoload.php')(__DIR__ . '/../../../php/gateway');

$kind = function (string $dsn, string $client): string {
    try {
        return json_encode(PushGateway\GatewayFactory::create($dsn)->isOnline($client), JSON_THROW_ON_ERROR);
    } catch (PushGateway\Exception\CallFailed $e) {
        return (string) $e->getCode();
    }
};
$client = $argv[1];
$dsns = array_slice($argv, 2);
echo implode(' ', array_map(fn (string $dsn) => $kind($dsn, $client), $dsns)), ' ', $kind(end($dsns), 'nobody');
