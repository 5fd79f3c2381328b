<?php

declare(strict_types=1);

// Runs the contract of the package gateway on the gateway that a DSN names, with three clients of it; prints which class that was, a token,
// and what it cannot do.
// contract.php DSN CLIENT CLIENT CLIENT

(require __DIR__ . '/../../../php/autoload.php')(__DIR__ . '/../../../php/gateway');
$client = getenv('GATEWAYCLIENT_PATH');
if (str_starts_with($argv[1], 'gatewayclient:')) {
    require "$client/Gateway.php";
}

$gateway = PushGateway\GatewayFactory::create($argv[1]);
$contract = new PushGateway\Tests\Contract($gateway, [$argv[2], $argv[3], $argv[4]]);
$contract->run();
echo json_encode([$gateway::class, $contract->token, $contract->unsupported], JSON_THROW_ON_ERROR);
