<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\base\NotSupportedException;

/**
 * The class that the component calls. What GatewayClient has no words for is said by the calls that it has: those who are left
 * out are looked up first, so a client that comes or joins in between is not among them.
 */
final class Backend
{
    /** How many arguments each send has. */
    private const SENDS = ['sendToAll' => 6, 'sendToClient' => 4, 'sendToUid' => 6, 'sendToGroup' => 6];

    public function __construct(private readonly string $class)
    {
    }

    /** @param array<mixed> $arguments as the extension has them */
    public function call(string $method, array $arguments): mixed
    {
        if ($method === 'closeUid' && !method_exists($this->class, $method)) {
            return $this->closeUid(...$arguments);
        }
        if (!isset(self::SENDS[$method]) || $this->takes($method, self::SENDS[$method])) {
            return $this->ask($method, ...$arguments);
        }
        if (array_pop($arguments) !== null) {
            throw new NotSupportedException(
                'Only the extension gateway can choose text or binary for one message. Install it, or leave $binary out.'
            );
        }

        return match ($method) {
            'sendToAll' => $this->sendToAll(...$arguments),
            'sendToUid' => $this->sendToUid(...$arguments),
            'sendToGroup' => $this->sendToGroup(...$arguments),
            'sendToClient' => $this->sendToClient(...$arguments),
        };
    }

    /** Calls the class as loosely as its own callers do: what types its arguments have is its business. */
    private function ask(string $method, mixed ...$arguments): mixed
    {
        return call_user_func_array([$this->class, $method], $arguments);
    }

    private function takes(string $method, int $arguments): bool
    {
        $called = new \ReflectionMethod($this->class, $method);

        return $called->isVariadic() || $called->getNumberOfParameters() >= $arguments;
    }

    private function sendToClient(string $client, string $message, bool $raw = false): mixed
    {
        if ($raw && !$this->takes('sendToClient', 3)) {
            $this->ask('sendToAll', $message, [$client], null, true);
            return true;
        }

        return $this->ask('sendToClient', $client, $message, $raw);
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
        $exclude = $this->leftOut($exclude, $groups);

        return $this->ask(
            'sendToAll',
            $message,
            $only === null ? null : $this->without($only, $exclude),
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
        $exclude = $this->leftOut($exclude, $groups);
        if ($exclude === [] && (!$raw || $this->takes('sendToUid', 3))) {
            return $this->ask('sendToUid', $uid, $message, $raw);
        }

        return $this->ask('sendToAll', $message, $this->without($this->clients($uid), $exclude), null, $raw);
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
        return $this->ask('sendToGroup', $group, $message, $this->leftOut($exclude, $groups), $raw);
    }

    /** @param string|int|array<string|int> $uid */
    private function closeUid(string|int|array $uid, ?string $message = null): void
    {
        foreach ($this->clients($uid) as $client) {
            $this->ask('closeClient', $client, $message);
        }
    }

    /**
     * @param string|int|array<string|int> $uid
     * @return list<string> client_ids
     */
    private function clients(string|int|array $uid): array
    {
        $of = fn (mixed $one) => $this->ask('getClientIdByUid', $one);

        return array_merge(...array_map($of, array_values(array_unique(array_filter((array) $uid)))));
    }

    /**
     * @param string|string[]|null $clients
     * @param string|int|array<string|int>|null $groups
     * @return list<string> client_ids
     */
    private function leftOut(string|array|null $clients, string|int|array|null $groups): array
    {
        $groups = array_values(array_filter((array) $groups));
        $members = $groups === [] ? [] : array_values($this->ask('getClientIdListByGroup', $groups));

        return [...array_map('strtolower', array_values(array_filter((array) $clients))), ...$members];
    }

    /**
     * @param string[] $clients
     * @param string[] $exclude
     * @return list<string>
     */
    private function without(array $clients, array $exclude): array
    {
        return array_values(array_diff(array_map('strtolower', $clients), $exclude));
    }
}
