<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use PushGateway\AbstractGateway;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\UnsupportedCall;
use Yii;
use yii\base\InvalidConfigException;
use yii\base\NotSupportedException;
use yii\base\UnknownMethodException;

/**
 * The component as `PushGateway\GatewayInterface`, for services that do not know Yii: with its settings, its events and its log.
 * {@see Bootstrap} has Yii's container give it to whoever wants the interface.
 */
final class ComponentGateway extends AbstractGateway
{
    /** The sends that give an answer. */
    private const ANSWERING = ['sendToUidCounted', 'sendToGroupCounted', 'ask', 'deliverToUid'];

    private readonly Gateway $component;

    /** @param Gateway|string $component the component, or its id in the application */
    public function __construct(Gateway|string $component = 'gateway')
    {
        parent::__construct();
        $component = is_string($component) ? Yii::$app->get($component) : $component;
        if (!$component instanceof Gateway) {
            throw new InvalidConfigException('The component is no ' . Gateway::class . '.');
        }
        $this->component = $component;
    }

    protected function call(string $method, array $arguments): mixed
    {
        $onError = $this->component->onError;
        // What gives an answer has none when it fails, and so it throws.
        if (in_array($method, self::ANSWERING, true)) {
            $this->component->onError = Gateway::ON_ERROR_THROW;
        }
        try {
            $answer = $method === 'token' ? $this->madeToken(...$arguments) : $this->component->$method(...$arguments);
        } catch (NotSupportedException | UnknownMethodException $e) {
            throw new UnsupportedCall($e->getMessage(), 0, $e);
        } finally {
            $this->component->onError = $onError;
        }
        if ($answer === null && in_array($method, self::ANSWERING, true)) {
            throw new CallFailed("$method: a handler of the component has held the message back.");
        }

        return $answer;
    }

    /**
     * @param array<string|int> $groups
     * @param array<mixed> $session
     */
    private function madeToken(
        string|int $uid,
        int $ttl,
        array $groups,
        array $session,
        bool $once,
        ?string $device,
    ): string {
        return $device === null
            ? $this->component->token($uid, $ttl, $groups, $session, $once)
            : $this->component->tokenForDevice($device, $uid, $ttl, $groups, $session, $once);
    }
}
