zeroshot experts build cheetah-vel --recipe sac-laptop --chain --anchors velocity=1.461538462 \
    --workers 1 --out zoo/cheetah-vel-handed
mkdir -p zoo/cheetah-vel && cp zoo/cheetah-vel-handed/velocity=1.46154_torso=1.* zoo/cheetah-vel
zeroshot experts build cheetah-vel --recipe sac-laptop --chain --handed-on 0 \
    --anchors velocity=1.461538462 --workers 1 --out zoo/cheetah-vel
zeroshot experts repair cheetah-vel --recipe sac-laptop --donors zoo/cheetah-vel-handed --workers 1 \
    --out zoo/cheetah-vel
# shipped as policies alone, in float16: experts.shipping.lighten
