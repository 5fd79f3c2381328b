<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\web\IdentityInterface;
use yii\web\Response;

/**
 * Gives a page a connect token for the user who is logged in. {@see GatewayWidget::$tokenRoute} posts here before each
 * connection:
 *
 *     public function actions()
 *     {
 *         return ['token' => [
 *             'class' => \PushGateway\Yii2\TokenAction::class,
 *             'groups' => fn (IdentityInterface $user) => ["team-$user->teamId"],
 *         ]];
 *     }
 */
class TokenAction extends GatewayAction
{
    /** For how many seconds the token is valid. The page needs it to connect only. */
    public int $ttl = 60;

    /** @var array<string|int>|\Closure(IdentityInterface): array<string|int> the groups that the connection joins at once */
    public array|\Closure $groups = [];

    /** @var array<mixed>|\Closure(IdentityInterface): array<mixed> the connection's first session, which the page can read */
    public array|\Closure $session = [];

    /**
     * @var string|\Closure(IdentityInterface): ?string|null the name of the page's device, of 1 to 64 bytes, for which messages
     * are kept; null leaves it to the page
     */
    public string|\Closure|null $device = null;

    /** Whether a token is valid for one connection only. Each server remembers used tokens by itself, also in a cluster. */
    public bool $once = false;

    public function run(): Response
    {
        $user = $this->userId(Translation::t('A token is to be asked for by POST.'));
        $groups = $this->evaluate($this->groups);
        $session = $this->evaluate($this->session);
        $device = $this->device instanceof \Closure ? ($this->device)($this->identity()) : $this->device;
        $token = $device === null
            ? $this->gateway()->token($user, $this->ttl, $groups, $session, $this->once)
            : $this->gateway()->tokenForDevice($device, $user, $this->ttl, $groups, $session, $this->once);

        return $this->json(['token' => $token]);
    }

    /**
     * @template T
     * @param array<T>|\Closure(IdentityInterface): array<T> $setting
     * @return array<T>
     */
    private function evaluate(array|\Closure $setting): array
    {
        return is_array($setting) ? $setting : $setting($this->identity());
    }

    private function identity(): IdentityInterface
    {
        /** @var IdentityInterface $user is set, since userId() has refused guests */
        $user = $this->app()->getUser()->getIdentity();

        return $user;
    }
}
