<?php

declare(strict_types=1);

// What the application sets in its own params under the same name; the options of PushGateway\GatewayFactory, of which null is
// none.

return [
    'push-gateway/gateway' => [
        'dsn' => $_ENV['GATEWAY_DSN'] ?? 'gateway://default',
        'operationsToken' => null,
        'operationsTokenFile' => null,
        'secretKey' => null,
        'secretKeyFile' => null,
        'tokenKey' => null,
        'tokenKeyFile' => null,
        'connectTimeout' => null,
        'onError' => 'throw',
    ],
];
