<?php

declare(strict_types=1);

namespace PushGateway\Test;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\AbstractGateway;
use PushGateway\OnError;

/**
 * Replaces the gateway in a program's own tests. It sends nothing, keeps what would have been sent, and answers of the clients
 * that a test has connected.
 *
 *     $gateway = new FakeGateway();
 *     $gateway->connect('c1', 'ann');
 *     (new CommentService($gateway))->add(...);
 *     $gateway->assertSentTo('ann', fn ($message) => $message['type'] === 'comment');
 */
final class FakeGateway extends AbstractGateway
{
    use FakeCalls;

    /** @var list<SentMessage> what was sent, asked and delivered, in order */
    public array $sent = [];

    public function __construct(
        ?LoggerInterface $logger = null,
        ?EventDispatcherInterface $events = null,
        OnError $onError = OnError::Throw,
    ) {
        parent::__construct($logger, $events, $onError);
        $this->inbox = new FakeInbox();
    }

    /** Has a client come. */
    public function connect(string $clientId, string|int|null $uid = null): void
    {
        $this->clients[$clientId] = $uid;
    }

    /**
     * Fails unless a message was sent to this uid, client_id or group, or to one of several together with others.
     *
     * @param string|int|null $to null stands for everybody, as of sendToAll
     * @param mixed $message the message as it was given, or a closure that is given it and says whether it is the one
     */
    public function assertSentTo(string|int|null $to, mixed $message): void
    {
        $whom = $to === null ? 'everybody' : "\"$to\"";
        $this->check($this->isSent($to, $message), "No such message was sent to $whom. " . $this->told());
    }

    /** Fails if such a message was sent to this uid, client_id or group. */
    public function assertNotSentTo(string|int|null $to, mixed $message = null): void
    {
        $any = $message ?? fn () => true;
        $whom = $to === null ? 'everybody' : "\"$to\"";
        $this->check(!$this->isSent($to, $any), "Such a message was sent to $whom. " . $this->told());
    }

    public function assertNothingSent(): void
    {
        $this->check($this->sent === [], $this->told());
    }

    public function assertSentCount(int $expected): void
    {
        $this->check(count($this->sent) === $expected, "$expected messages were expected. " . $this->told());
    }

    protected function call(string $method, array $arguments): mixed
    {
        $result = $this->fake($method, $arguments);
        if (preg_match('/^(sendTo|ask$|deliverTo)/', $method) === 1) {
            $to = $method === 'sendToAll' ? null : array_shift($arguments);
            $this->sent[] = new SentMessage($method, $to, array_shift($arguments), $arguments);
        }

        return $result;
    }

    private function isSent(string|int|null $to, mixed $message): bool
    {
        foreach ($this->sent as $sent) {
            $isTo = $to === null
                ? $sent->to === null
                : $sent->to !== null && in_array((string) $to, array_map('strval', (array) $sent->to), true);
            $isIt = $message instanceof \Closure
                ? $message($sent->message()) === true
                : $sent->text === (is_string($message) ? $message : json_encode($message, SentMessage::FLAGS));
            if ($isTo && $isIt) {
                return true;
            }
        }

        return false;
    }

    private function told(): string
    {
        $lines = array_map(fn (SentMessage $sent) => $sent->describe(), $this->sent);

        return $lines === [] ? 'Nothing was sent.' : "What was sent:\n    " . implode("\n    ", $lines);
    }

    /** Counts as an assertion of PHPUnit where a test of that runs. */
    private function check(bool $isRight, string $otherwise): void
    {
        if (class_exists(\PHPUnit\Framework\Assert::class, false)) {
            \PHPUnit\Framework\Assert::assertTrue($isRight, $otherwise);
        } elseif (!$isRight) {
            throw new \AssertionError($otherwise);
        }
    }
}
