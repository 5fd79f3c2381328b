<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Notifier;

use Psr\EventDispatcher\EventDispatcherInterface;
use PushGateway\GatewayInterface;
use Symfony\Component\Notifier\Exception\UnsupportedSchemeException;
use Symfony\Component\Notifier\Transport\Dsn;
use Symfony\Component\Notifier\Transport\TransportFactoryInterface;
use Symfony\Component\Notifier\Transport\TransportInterface;

/**
 * Makes the transport of the DSN `gateway://default`, which sends by the gateway of the bundle, wherever that is. `?group=news`
 * names a group for messages that do not say for whom they are.
 */
final class GatewayTransportFactory implements TransportFactoryInterface
{
    private const SCHEME = 'gateway';

    /** @param \Closure(): GatewayInterface $gateway */
    public function __construct(
        private readonly \Closure $gateway,
        private readonly ?EventDispatcherInterface $events = null,
    ) {
    }

    public function supports(Dsn $dsn): bool
    {
        return $dsn->getScheme() === self::SCHEME;
    }

    public function create(Dsn $dsn): TransportInterface
    {
        if (!$this->supports($dsn)) {
            throw new UnsupportedSchemeException($dsn, self::SCHEME, [self::SCHEME]);
        }
        if ($dsn->getHost() !== 'default') {
            throw new \InvalidArgumentException(
                "The transport's DSN is gateway://default: where the gateway is says push_gateway.dsn."
            );
        }
        $group = $dsn->getOption('group');
        $default = is_string($group) && $group !== '' ? GatewayOptions::forGroup($group) : null;
        $name = 'gateway://default' . ($default === null ? '' : "?group=$group");

        return new GatewayTransport($this->gateway, $name, $default, $this->events);
    }
}
