<?php

declare(strict_types=1);

namespace PushGateway;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\Backend\HttpBackend;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\Http\StreamTransport;
use PushGateway\Http\Transport;

/**
 * The gateway by the HTTP API on its operations port, for machines that have no extension, such as a Mac or one with Windows. An
 * order is done when its call returns; unlike with the extension, one whose answer was lost may be done without that being
 * known.
 */
final class HttpGateway extends AbstractGateway
{
    private readonly HttpBackend $backend;

    /**
     * @param string|Transport $transport the operations port, such as `http://127.0.0.1:1239`, or what makes requests to it
     * @param string|null $operationsToken the server's operations_token, where the port is given by its address
     * @param string|null $secretKey the server's secret_key, which is for nothing but connect tokens where there is no $tokenKey
     * @param string|null $tokenKey the key that signs connect tokens
     * @param float|null $connectTimeout for how many seconds a call waits at most, by default 3; a question to pages waits as
     *     long again
     */
    public function __construct(
        string|Transport $transport = 'http://127.0.0.1:1239',
        #[\SensitiveParameter] ?string $operationsToken = null,
        #[\SensitiveParameter] ?string $secretKey = null,
        #[\SensitiveParameter] ?string $tokenKey = null,
        ?float $connectTimeout = null,
        ?LoggerInterface $logger = null,
        ?EventDispatcherInterface $events = null,
        OnError $onError = OnError::Throw,
    ) {
        if ($operationsToken !== null && $transport instanceof Transport) {
            throw new InvalidConfiguration('The operations token belongs to the transport.');
        }
        if ($connectTimeout !== null && $connectTimeout <= 0) {
            throw new InvalidConfiguration('connectTimeout must be more than 0 seconds.');
        }
        parent::__construct($logger, $events, $onError);
        $transport = is_string($transport) ? new StreamTransport($transport, $operationsToken) : $transport;
        $this->backend = new HttpBackend($transport, $connectTimeout ?? 3.0, $tokenKey, $secretKey);
    }

    protected function call(string $method, array $arguments): mixed
    {
        return $this->backend->call($method, $arguments);
    }
}
