<?php

declare(strict_types=1);

// The component of both the page and the console.

return [
    'class' => PushGateway\Yii2\Gateway::class,
    'registerAddress' => getenv('GATEWAY_REGISTER') ?: null,
    'tokenKey' => getenv('GATEWAY_TOKEN_KEY') ?: null,
];
