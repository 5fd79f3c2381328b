<?php

declare(strict_types=1);

namespace PushGateway;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\Backend\ClassBackend;
use PushGateway\Exception\InvalidConfiguration;

/**
 * The gateway by the extension `gateway`, which keeps one connection, sends again what a lost one swallowed, and waits for no
 * order.
 */
final class ExtensionGateway extends AbstractGateway
{
    private readonly ClassBackend $backend;

    /**
     * @param string|string[]|null $registerAddress where PHP reaches the gateway: `host:port`, `unix:///path`,
     *     `tls://host:port`, or several; null stands for the address in php.ini, as null does for what follows
     * @param string|null $secretKey the server's secret_key
     * @param string|null $tokenKey the key that signs connect tokens
     * @param float|null $connectTimeout for how many seconds a call waits at most
     */
    public function __construct(
        string|array|null $registerAddress = null,
        #[\SensitiveParameter] ?string $secretKey = null,
        #[\SensitiveParameter] ?string $tokenKey = null,
        ?float $connectTimeout = null,
        ?LoggerInterface $logger = null,
        ?EventDispatcherInterface $events = null,
        OnError $onError = OnError::Throw,
    ) {
        if (!extension_loaded('gateway')) {
            throw new InvalidConfiguration('The extension gateway is not loaded.');
        }
        parent::__construct($logger, $events, $onError);
        $this->backend = new ClassBackend(
            Gateway::class,
            compact('registerAddress', 'secretKey', 'tokenKey', 'connectTimeout')
        );
    }

    protected function call(string $method, array $arguments): mixed
    {
        return $this->backend->call($method, $arguments);
    }
}
