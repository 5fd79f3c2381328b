<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Notifier;

use Psr\EventDispatcher\EventDispatcherInterface;
use PushGateway\Exception\GatewayExceptionInterface;
use PushGateway\GatewayInterface;
use Symfony\Component\Notifier\Event\FailedMessageEvent;
use Symfony\Component\Notifier\Event\MessageEvent;
use Symfony\Component\Notifier\Event\SentMessageEvent;
use Symfony\Component\Notifier\Exception\LogicException;
use Symfony\Component\Notifier\Message\ChatMessage;
use Symfony\Component\Notifier\Message\MessageInterface;
use Symfony\Component\Notifier\Message\PushMessage;
use Symfony\Component\Notifier\Message\SentMessage;
use Symfony\Component\Notifier\Transport\TransportInterface;

/**
 * Sends chat and push messages of Notifier to pages, as JSON:
 *
 *     {"type": "notification", "subject": "…", "content": "…"}
 */
final class GatewayTransport implements TransportInterface
{
    /**
     * @param \Closure(): GatewayInterface $gateway
     * @param GatewayOptions|null $default for whom messages are that do not say it
     */
    public function __construct(
        private readonly \Closure $gateway,
        private readonly string $name,
        private readonly ?GatewayOptions $default = null,
        private readonly ?EventDispatcherInterface $events = null,
    ) {
    }

    public function __toString(): string
    {
        return $this->name;
    }

    public function supports(MessageInterface $message): bool
    {
        $options = $message->getOptions();

        return ($message instanceof ChatMessage || $message instanceof PushMessage)
            && ($options === null || $options instanceof GatewayOptions);
    }

    public function send(MessageInterface $message): SentMessage
    {
        $options = $message->getOptions() ?? $this->default;
        if (!$this->supports($message) || !$options instanceof GatewayOptions) {
            throw new LogicException(
                "$this->name sends chat and push messages that say for whom they are, by GatewayOptions or by ?group= of its DSN."
            );
        }
        $this->events?->dispatch(new MessageEvent($message));
        try {
            $id = $this->sent($message, $options);
        } catch (GatewayExceptionInterface $e) {
            $failure = new NotSent("$this->name: {$e->getMessage()}", 0, $e);
            $this->events?->dispatch(new FailedMessageEvent($message, $failure));
            throw $failure;
        }
        $sent = new SentMessage($message, $this->name);
        if ($id !== null) {
            $sent->setMessageId($id);
        }
        $this->events?->dispatch(new SentMessageEvent($sent));

        return $sent;
    }

    /** Returns the id of a message that is kept. */
    private function sent(MessageInterface $message, GatewayOptions $options): ?string
    {
        $content = ['subject' => $message->getSubject()];
        if ($message instanceof PushMessage) {
            $content['content'] = $message->getContent();
        }
        $content += $options->toArray();
        $gateway = ($this->gateway)();
        $to = (string) $options->getRecipientId();
        if ($options->delivery() !== null) {
            return $gateway->deliverToUid($to, $content, $options->delivery());
        }
        match ($options->receiver()) {
            Receiver::Uid => $gateway->sendToUid($to, $content),
            Receiver::Group => $gateway->sendToGroup($to, $content),
            Receiver::Client => $gateway->sendToClient($to, $content),
            Receiver::Everybody => $gateway->sendToAll($content),
        };

        return null;
    }
}
