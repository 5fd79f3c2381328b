<?php

declare(strict_types=1);

use Psr\Container\ContainerInterface;
use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\GatewayFactory;
use PushGateway\GatewayInterface;

/** @var array{'push-gateway/gateway': array<string, mixed>} $params */

return [
    // The log and the listeners of the application are used where it has them.
    GatewayInterface::class => static fn (ContainerInterface $container): GatewayInterface => GatewayFactory::create(
        $params['push-gateway/gateway'],
        $container->has(LoggerInterface::class) ? $container->get(LoggerInterface::class) : null,
        $container->has(EventDispatcherInterface::class) ? $container->get(EventDispatcherInterface::class) : null,
    ),
];
