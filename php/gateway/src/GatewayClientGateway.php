<?php

declare(strict_types=1);

namespace PushGateway;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\Backend\Backend;
use PushGateway\Backend\ClassBackend;
use PushGateway\Exception\InvalidConfiguration;

/**
 * The gateway by the package workerman/gatewayclient. Counted sends, questions to pages, the inbox, proofs and the choice of
 * text or binary are beyond it, and throw an {@see Exception\UnsupportedCall}. Who is left out of a send is looked up before it.
 */
final class GatewayClientGateway extends AbstractGateway
{
    private readonly Backend $backend;

    /**
     * @param string|string[]|null $registerAddress the address of the register; null stands for the one that the class has
     * @param string|null $secretKey the secret of the register and its gateways
     * @param string|null $tokenKey the key that signs connect tokens, which this class makes by itself
     * @param float|null $connectTimeout for how many seconds a call waits at most
     */
    public function __construct(
        string|array|null $registerAddress = null,
        #[\SensitiveParameter] private readonly ?string $secretKey = null,
        #[\SensitiveParameter] private readonly ?string $tokenKey = null,
        ?float $connectTimeout = null,
        ?LoggerInterface $logger = null,
        ?EventDispatcherInterface $events = null,
        OnError $onError = OnError::Throw,
    ) {
        if (!class_exists(\GatewayClient\Gateway::class)) {
            throw new InvalidConfiguration('The package workerman/gatewayclient is not installed.');
        }
        parent::__construct($logger, $events, $onError);
        $this->backend = new ClassBackend(
            \GatewayClient\Gateway::class,
            compact('registerAddress', 'secretKey', 'connectTimeout')
        );
    }

    protected function call(string $method, array $arguments): mixed
    {
        return match ($method) {
            'token' => (new ConnectToken(...$arguments))->sign($this->tokenKey, $this->secretKey),
            'getAllGroupUidList' => $this->ofEachGroup('getUidListByGroup'),
            'getAllGroupUidCount' => array_map(count(...), $this->ofEachGroup('getUidListByGroup')),
            'getAllGroupClientIdList' => $this->ofEachGroup('getClientIdListByGroup'),
            'getAllGroupClientIdCount' => array_map(count(...), $this->ofEachGroup('getClientIdListByGroup')),
            default => $this->backend->call($method, $arguments),
        };
    }

    /**
     * Asks for each group by itself: what the class answers for all at once ends at the first client without a uid or without a
     * group.
     *
     * @return array<string|int, array<mixed>>
     */
    private function ofEachGroup(string $method): array
    {
        $answers = [];
        foreach ((array) $this->backend->call('getAllGroupIdList', []) as $group) {
            $answers[is_scalar($group) ? (string) $group : ''] = (array) $this->backend->call($method, [$group]);
        }

        return array_filter($answers);
    }
}
