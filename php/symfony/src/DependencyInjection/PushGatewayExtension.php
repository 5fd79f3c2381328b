<?php

declare(strict_types=1);

namespace PushGateway\Symfony\DependencyInjection;

use PushGateway\GatewayFactory;
use PushGateway\GatewayInterface;
use PushGateway\Symfony\Notifier\GatewayTransportFactory;
use Symfony\Component\DependencyInjection\Argument\ServiceClosureArgument;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\DependencyInjection\Definition;
use Symfony\Component\DependencyInjection\Extension\Extension;
use Symfony\Component\DependencyInjection\Reference;
use Symfony\Component\Notifier\Transport\TransportFactoryInterface;

/** Makes the services of the bundle. */
final class PushGatewayExtension extends Extension
{
    /** @param array<array<string, mixed>> $configs */
    public function load(array $configs, ContainerBuilder $container): void
    {
        /** @var array<string, mixed> $config */
        $config = $this->processConfiguration(new Configuration(), $configs);
        $options = [];
        foreach ($config as $name => $value) {
            $options[lcfirst(strtr(ucwords($name, '_'), ['_' => '']))] = $value;
        }
        $logger = new Reference('logger', ContainerInterface::NULL_ON_INVALID_REFERENCE);
        $events = new Reference('event_dispatcher', ContainerInterface::NULL_ON_INVALID_REFERENCE);
        $gateway = (new Definition(GatewayInterface::class, [$options, $logger, $events]))
            ->setFactory([GatewayFactory::class, 'create'])
            ->addTag('monolog.logger', ['channel' => 'gateway']);
        $container->setDefinition('push_gateway.gateway', $gateway);
        $container->setAlias(GatewayInterface::class, 'push_gateway.gateway');

        if (interface_exists(TransportFactoryInterface::class)) {
            // The gateway is made when a message is sent, as a program that sends none may run where there is none.
            $lazily = new ServiceClosureArgument(new Reference('push_gateway.gateway'));
            $factory = (new Definition(GatewayTransportFactory::class, [$lazily, $events]))
                ->addTag('texter.transport_factory')
                ->addTag('chatter.transport_factory');
            $container->setDefinition('push_gateway.notifier.transport_factory', $factory);
        }
    }
}
