<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Notifier;

use Symfony\Component\Notifier\Message\MessageOptionsInterface;

/** For whom a message of Notifier is, and what its page gets beside subject and content. */
final class GatewayOptions implements MessageOptionsInterface
{
    /** @var array<string, mixed> */
    private array $data = [];

    private string $type = 'notification';

    /** @var array<string, mixed>|null the options of a delivery; null is a send */
    private ?array $delivery = null;

    private function __construct(private readonly Receiver $receiver, private readonly string|int|null $id)
    {
    }

    /** For all pages of a user. */
    public static function forUid(string|int $uid): self
    {
        return new self(Receiver::Uid, $uid);
    }

    /** For all members of a group. */
    public static function forGroup(string|int $group): self
    {
        return new self(Receiver::Group, $group);
    }

    /** For one connection. */
    public static function forClient(string $clientId): self
    {
        return new self(Receiver::Client, $clientId);
    }

    /** For every page. */
    public static function forEverybody(): self
    {
        return new self(Receiver::Everybody, null);
    }

    /**
     * What the page gets beside `type`, `subject` and `content`.
     *
     * @param array<string, mixed> $data
     * @return $this
     */
    public function data(array $data): static
    {
        $this->data = $data;

        return $this;
    }

    /**
     * The `type` by which the page tells messages apart.
     *
     * @return $this
     */
    public function type(string $type): static
    {
        $this->type = $type;

        return $this;
    }

    /**
     * Keeps the message until each device of the user has it. It is for a uid alone.
     *
     * @param array<string, mixed> $options those of `deliverToUid`, such as `ttl`
     * @return $this
     */
    public function deliver(array $options = []): static
    {
        if ($this->receiver !== Receiver::Uid) {
            throw new \LogicException('Messages are kept for uids alone.');
        }
        $this->delivery = $options;

        return $this;
    }

    public function receiver(): Receiver
    {
        return $this->receiver;
    }

    /** @return array<string, mixed>|null */
    public function delivery(): ?array
    {
        return $this->delivery;
    }

    /** @return array<string, mixed> */
    public function toArray(): array
    {
        return $this->data + ['type' => $this->type];
    }

    public function getRecipientId(): ?string
    {
        return $this->id === null ? null : (string) $this->id;
    }
}
