<?php

declare(strict_types=1);

// Runs the contract of the package gateway on the gateway that a DSN names, with three clients of it; prints which class that was, a token,
// and what it cannot do.
// contract.php DSN CLIENT CLIENT CLIENT

$load = require __DIR__ . '/../../../php/autoload.php';
$load(__DIR__ . '/../../../php/gateway');
$client = getenv('GATEWAYCLIENT_PATH');
if (str_starts_with($argv[1], 'gatewayclient:')) {
    require "$client/Gateway.php";
}

if (str_starts_with($argv[1], 'yii2:')) {
    // The component of Yii 2, whose settings stand behind that as JSON.
    $load(__DIR__ . '/../../../php/yii2');
    new yii\console\Application(['id' => 'test', 'basePath' => __DIR__, 'runtimePath' => sys_get_temp_dir()]);
    $settings = json_decode(substr($argv[1], 5), true, 8, JSON_THROW_ON_ERROR);
    $gateway = new PushGateway\Yii2\ComponentGateway(new PushGateway\Yii2\Gateway($settings));
} else {
    $gateway = PushGateway\GatewayFactory::create($argv[1]);
}
$contract = new PushGateway\Tests\Contract($gateway, [$argv[2], $argv[3], $argv[4]]);
$contract->run();
echo json_encode([$gateway::class, $contract->token, $contract->unsupported], JSON_THROW_ON_ERROR);
