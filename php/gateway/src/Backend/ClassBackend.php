<?php

declare(strict_types=1);

namespace PushGateway\Backend;

use PushGateway\Exception\UnsupportedCall;

/**
 * Calls the class of the extension, or GatewayClient's. Where GatewayClient lacks an option, other calls of it do the same: the
 * clients that are left out are looked up first, so a client that connects or joins in between still gets the message.
 */
final class ClassBackend implements Backend
{
    /** How many parameters each send of the extension has. */
    private const SEND_PARAMETERS = ['sendToAll' => 6, 'sendToClient' => 4, 'sendToUid' => 6, 'sendToGroup' => 6];

    /** The static properties that are settings. */
    private const SETTINGS = ['registerAddress', 'secretKey', 'tokenKey', 'connectTimeout'];

    /** The methods that only class Gateway of the extension has, and HTTP. */
    private const BEYOND_GATEWAY_CLIENT = [
        'sendToUidCounted', 'sendToGroupCounted', 'ask', 'deliverToUid', 'receipt', 'inboxOf', 'forget', 'getClientInfo',
        'getClientProof', 'isClientProof', 'token',
    ];

    /** The methods that GatewayClient has in its own spelling alone. */
    private const MISSPELT = ['destroyClient' => 'destoryClient', 'destroyCurrentClient' => 'destoryCurrentClient'];

    /** @var array<class-string, array<string, mixed>> the settings of each class before anybody changed them */
    private static array $defaults = [];

    /**
     * @param class-string $class
     * @param array<string, mixed> $settings `registerAddress`, `secretKey`, `tokenKey` and `connectTimeout`; null stands for
     *     what the class has by itself, which is what php.ini says
     */
    public function __construct(private readonly string $class, private readonly array $settings = [])
    {
        self::$defaults[$class] ??= array_intersect_key(
            (new \ReflectionClass($class))->getStaticProperties(),
            array_flip(self::SETTINGS)
        );
    }

    public function has(string $method): bool
    {
        return method_exists($this->class, $method) || $method === 'closeUid' || $method === 'flush'
            || method_exists($this->class, self::MISSPELT[$method] ?? '');
    }

    /** Sets the static properties of the class, which all gateways of the process share and may have set differently. */
    public function apply(): void
    {
        $class = $this->class;
        foreach (self::$defaults[$class] as $setting => $default) {
            $class::$$setting = $this->settings[$setting] ?? $default;
        }
    }

    public function call(string $method, array $arguments): mixed
    {
        $this->apply();
        if (!method_exists($this->class, $method)) {
            return $this->replaced($method, $arguments);
        }
        if (!isset(self::SEND_PARAMETERS[$method]) || $this->hasParameters($method, self::SEND_PARAMETERS[$method])) {
            return $this->invoke($method, ...$arguments);
        }
        if (array_pop($arguments) !== null) {
            throw new UnsupportedCall(
                'Only the extension gateway and the HTTP API can choose text or binary for one message. Leave $binary out.'
            );
        }

        return match ($method) {
            'sendToAll' => $this->sendToAll(...$arguments),
            'sendToUid' => $this->sendToUid(...$arguments),
            'sendToGroup' => $this->sendToGroup(...$arguments),
            'sendToClient' => $this->sendToClient(...$arguments),
        };
    }

    /**
     * Does by other calls what a method does that the class has not.
     *
     * @param array<mixed> $arguments
     */
    private function replaced(string $method, array $arguments): mixed
    {
        $spelling = self::MISSPELT[$method] ?? '';
        if ($method === 'closeUid') {
            return $this->closeUid(...$arguments);
        }
        if ($method === 'flush') {
            // GatewayClient has written everything when its calls return.
            return true;
        }
        if (method_exists($this->class, $spelling)) {
            return $this->invoke($spelling, ...$arguments);
        }
        if (in_array($method, self::BEYOND_GATEWAY_CLIENT, true)) {
            throw new UnsupportedCall("Only the extension gateway has $method(), and the HTTP API of the server.");
        }
        throw new UnsupportedCall("$this->class has no $method().");
    }

    /** Calls the class by PHP's loose rules for arguments, as programs without strict types do. */
    private function invoke(string $method, mixed ...$arguments): mixed
    {
        return call_user_func_array([$this->class, $method], $arguments);
    }

    private function hasParameters(string $method, int $arguments): bool
    {
        $called = new \ReflectionMethod($this->class, $method);

        return $called->isVariadic() || $called->getNumberOfParameters() >= $arguments;
    }

    private function sendToClient(string $client, string $message, bool $raw = false): mixed
    {
        if ($raw && !$this->hasParameters('sendToClient', 3)) {
            $this->invoke('sendToAll', $message, [$client], null, true);
            return true;
        }

        return $this->invoke('sendToClient', $client, $message, $raw);
    }

    /**
     * @param string[]|null $only
     * @param string|string[]|null $exclude
     * @param string|int|array<string|int>|null $groups
     */
    private function sendToAll(
        string $message,
        ?array $only = null,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $groups = null
    ): mixed {
        $exclude = $this->excludedClients($exclude, $groups);

        return $this->invoke(
            'sendToAll',
            $message,
            $only === null ? null : $this->difference($only, $exclude),
            $only === null ? $exclude : null,
            $raw
        );
    }

    /**
     * @param string|int|array<string|int> $uid
     * @param string|string[]|null $exclude
     * @param string|int|array<string|int>|null $groups
     */
    private function sendToUid(
        string|int|array $uid,
        string $message,
        bool $raw = false,
        string|array|null $exclude = null,
        string|int|array|null $groups = null
    ): mixed {
        $exclude = $this->excludedClients($exclude, $groups);
        if ($exclude === [] && (!$raw || $this->hasParameters('sendToUid', 3))) {
            return $this->invoke('sendToUid', $uid, $message, $raw);
        }

        return $this->invoke('sendToAll', $message, $this->difference($this->clientsOf($uid), $exclude), null, $raw);
    }

    /**
     * @param string|int|array<string|int> $group
     * @param string|string[]|null $exclude
     * @param string|int|array<string|int>|null $groups
     */
    private function sendToGroup(
        string|int|array $group,
        string $message,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $groups = null
    ): mixed {
        return $this->invoke('sendToGroup', $group, $message, $this->excludedClients($exclude, $groups), $raw);
    }

    /** @param string|int|array<string|int> $uid */
    private function closeUid(string|int|array $uid, ?string $message = null): void
    {
        foreach ($this->clientsOf($uid) as $client) {
            $this->invoke('closeClient', $client, $message);
        }
    }

    /**
     * @param string|int|array<string|int> $uid
     * @return list<string> client_ids
     */
    private function clientsOf(string|int|array $uid): array
    {
        $clientsOfOne = fn (mixed $one) => $this->invoke('getClientIdByUid', $one);

        return array_merge(...array_map($clientsOfOne, array_values(array_unique(array_filter((array) $uid)))));
    }

    /**
     * @param string|string[]|null $clients
     * @param string|int|array<string|int>|null $groups
     * @return list<string> client_ids
     */
    private function excludedClients(string|array|null $clients, string|int|array|null $groups): array
    {
        $groups = array_values(array_filter((array) $groups));
        $members = $groups === [] ? [] : array_values($this->invoke('getClientIdListByGroup', $groups));

        return [...array_map('strtolower', array_values(array_filter((array) $clients))), ...$members];
    }

    /**
     * @param string[] $clients
     * @param string[] $exclude
     * @return list<string>
     */
    private function difference(array $clients, array $exclude): array
    {
        return array_values(array_diff(array_map('strtolower', $clients), $exclude));
    }
}
