<?php

declare(strict_types=1);

namespace PushGateway\Webhook;

use Psr\EventDispatcher\EventDispatcherInterface;
use PushGateway\Event\MessageReceipt;
use PushGateway\Event\MessageUndelivered;

/**
 * The notices of the inbox that one webhook brings. A webhook that was not answered with success comes again, so that each notice
 * may come more than once.
 *
 * @phpstan-type Receipt array{uid: string, id: string, device: string, signed: bool, event: string, at: int}
 * @phpstan-type Undelivered array{uid: string, id: string, stored: int}
 */
final class Notices
{
    /** The type of webhooks that have notices. One of another type is none of this package, and has none. */
    private const TYPE = 'inbox.notices';

    /** The deepest nesting of a body that is read. Notices have five levels. */
    private const DEPTH = 16;

    /**
     * @param string $id the webhook's id
     * @param list<Receipt> $receipts what devices have `received` or their users have `read`, as `event` says, `at` which time
     * in milliseconds since 1970; `signed` says whether a token has named the device
     * @param list<Undelivered> $undelivered what no device has acknowledged in time, and when it was kept, in milliseconds since
     * 1970
     */
    private function __construct(
        public readonly string $id,
        public readonly array $receipts,
        public readonly array $undelivered,
    ) {
    }

    /** Reads the body of a webhook whose signature is good. */
    public static function read(string $id, string $body): self
    {
        try {
            $webhook = json_decode($body, true, self::DEPTH, JSON_THROW_ON_ERROR);
        } catch (\JsonException $e) {
            throw new WebhookException(Failure::BadBody, "The body is no JSON: {$e->getMessage()}.", $e);
        }
        $webhook = self::object($webhook, 'The body');
        if (self::string($webhook, 'type') !== self::TYPE) {
            return new self($id, [], []);
        }
        $data = self::object($webhook['data'] ?? null, 'data');

        return new self(
            $id,
            array_map(self::receipt(...), self::objects($data, 'receipts')),
            array_map(self::undelivered(...), self::objects($data, 'undelivered')),
        );
    }

    /** Tells listeners of each notice. What one of them throws ends that, so that the webhook is answered with failure and comes again. */
    public function dispatch(EventDispatcherInterface $events): void
    {
        foreach ($this->receipts as $receipt) {
            $events->dispatch(new MessageReceipt(...$receipt));
        }
        foreach ($this->undelivered as $message) {
            $events->dispatch(new MessageUndelivered(...$message));
        }
    }

    /**
     * @param array<mixed> $notice
     * @return Receipt
     */
    private static function receipt(array $notice): array
    {
        return [
            'uid' => self::uid($notice),
            'id' => self::string($notice, 'id'),
            'device' => self::string($notice, 'device'),
            'signed' => ($notice['signed'] ?? null) === true,
            'event' => self::string($notice, 'event'),
            'at' => self::int($notice, 'at'),
        ];
    }

    /**
     * @param array<mixed> $notice
     * @return Undelivered
     */
    private static function undelivered(array $notice): array
    {
        return [
            'uid' => self::uid($notice),
            'id' => self::string($notice, 'id'),
            'stored' => self::int($notice, 'stored'),
        ];
    }

    /**
     * A uid that is no text is an object with its bytes in base64, since JSON has only text.
     *
     * @param array<mixed> $notice
     */
    private static function uid(array $notice): string
    {
        $uid = $notice['uid'] ?? null;
        if (!is_array($uid)) {
            return self::string($notice, 'uid');
        }

        $bytes = base64_decode(self::string($uid, 'base64'), true);
        return $bytes !== false ? $bytes : self::refuse('base64 is no base64');
    }

    /**
     * @param array<mixed> $data
     * @return list<array<mixed>>
     */
    private static function objects(array $data, string $key): array
    {
        $list = $data[$key] ?? [];
        if (!is_array($list) || !array_is_list($list)) {
            self::refuse("$key is no list");
        }

        return array_map(fn (mixed $one) => self::object($one, "one of $key"), $list);
    }

    /** @return array<mixed> */
    private static function object(mixed $value, string $name): array
    {
        return is_array($value) ? $value : self::refuse("$name is no object");
    }

    /** @param array<mixed> $object */
    private static function string(array $object, string $key): string
    {
        $value = $object[$key] ?? null;
        return is_string($value) ? $value : self::refuse("$key is no string");
    }

    /** @param array<mixed> $object */
    private static function int(array $object, string $key): int
    {
        $value = $object[$key] ?? null;
        return is_int($value) ? $value : self::refuse("$key is no whole number");
    }

    private static function refuse(string $why): never
    {
        throw new WebhookException(Failure::BadBody, "The body is signed, but is not what the gateway writes: $why.");
    }
}
